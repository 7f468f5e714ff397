// The only code that a saved notebook keeps: it takes the widgets' code from the kernel, once for each page,
// and shows the snapshot until (or, without a kernel, instead of) the live view. It must stay below 2 kB.

interface Model {
  get(name: string): unknown;
  send(content: unknown): void;
  on(
    name: string,
    handler: (content: { kind?: string; hash?: string; text?: string }, buffers?: DataView[]) => void,
  ): void;
}
interface Live {
  take(message: unknown, buffers?: DataView[]): void;
  mount(el: HTMLElement, signal: AbortSignal): void;
}
interface Code {
  attach(model: Model, first: unknown): Live;
}
interface Slot {
  code: Promise<Code>;
  give(text: string): void;
}

// the kernel writes the name of its bundle here
const hash = "__LABCONTAINERS_HASH__";
const page = globalThis as unknown as Record<symbol, Slot | undefined>;
const name = Symbol.for(`labcontainers:${hash}`);

function open(): Slot {
  let give!: (text: string) => void;
  const code = new Promise<string>((resolve) => {
    give = resolve;
  }).then(async (text) => {
    const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    try {
      return (await import(url)) as Code;
    } finally {
      URL.revokeObjectURL(url);
    }
  });
  return { code, give };
}

export default () => {
  let live: Promise<Live>;
  return {
    initialize({ model }: { model: Model }) {
      page[name] ??= open();
      const slot = page[name];
      const waiting: [unknown, DataView[] | undefined][] = [];
      let take: Live["take"] = (message, buffers) => waiting.push([message, buffers]);
      model.on("msg:custom", (message, buffers) => {
        if (message.kind !== "code") take(message, buffers);
        else if (message.hash === hash && message.text) slot.give(message.text);
      });
      const first = model.get("_first") as { code?: string } | null;
      if (first?.code) slot.give(first.code);
      else model.send({ kind: "code" });
      live = slot.code.then((code) => {
        const attached = code.attach(model, first);
        take = (message, buffers) => attached.take(message, buffers);
        for (const [message, buffers] of waiting) take(message, buffers);
        return attached;
      });
      live.catch((error) => console.error("labcontainers:", error));
    },
    render({ model, el }: { model: Model; el: HTMLElement }) {
      const controller = new AbortController();
      el.innerHTML = String(model.get("_snapshot") ?? "");
      live.then((it) => controller.signal.aborted || it.mount(el, controller.signal));
      return () => controller.abort();
    },
  };
};
