// Plays the two pieces of VS Code's Jupyter extension that are not in a package: a kernel whose messages come and go by a bridge,
// and what shows the outputs of a cell. The widget manager is the extension's own, from @vscode/jupyter-ipywidgets8.

import * as bundle from "/packages/ipywidgets.js";

const VIEW = "application/vnd.jupyter.widget-view+json";

window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  // the widget manager brings a font of icons along, which the policy forbids
  if (event.effectiveDirective === "font-src") return;
  window.violations.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}`);
});

/** The class or function that one of the bundle's modules exports as `name`. */
function exported(name) {
  const defines = new RegExp(`\\.${name}=(?!void 0)`);
  for (const [id, module] of Object.entries(bundle.modules)) {
    const found = defines.test(String(module)) && bundle.load(id)[name];
    if (found) return found;
  }
  throw new Error(`the widget manager's package has no ${name}`);
}

/** What a kernel connection takes for its WebSocket. */
class Bridge {
  protocol = "";
  readyState = 1;
  constructor() {
    kernelSocket.onmessage = ({ data }) => this.onmessage?.({ target: this, data });
    queueMicrotask(() => this.onopen?.({ target: this }));
  }
  send(data) {
    kernelSocket.send(data);
  }
  close() {}
}

/** Tells require.js where the scripts of the environment's nbextensions are, as each `extension.js` says it. */
async function loadWidgetScript(name) {
  const path = window.nbextensions[name];
  if (!path) throw new Error(`no nbextension has ${name}`);
  window.requirejs.config({ paths: { [name]: `${window.resources}/${path}` } });
  registered.add(name);
}

const { kernelSocket } = window;
if (kernelSocket.readyState !== WebSocket.OPEN) await new Promise((done) => kernelSocket.addEventListener("open", done));

const registered = new Set();
const failures = [];
const shown = new Map();

bundle.activate();
window.vscIPyWidgets8.load();
const Connection = exported("KernelConnection");
const settings = exported("ServerConnection").makeSettings({ WebSocket: Bridge, wsUrl: "ws://bridge" });
const kernel = new Connection({ serverSettings: settings, model: window.kernelModel, clientId: window.clientId, handleComms: true });
const manager = new window.vscIPyWidgets.WidgetManager(
  kernel,
  undefined,
  {
    widgetsRegisteredInRequireJs: registered,
    loadWidgetScript,
    errorHandler: (className, moduleName, version, error) => failures.push(`${moduleName}.${className}: ${error}`),
    successHandler: () => {},
  },
  () => {},
);

async function fill(element, data) {
  element.className = data[VIEW] ? "cell-output-ipywidget-background" : "";
  if (!data[VIEW]) {
    element.innerHTML = data["text/html"] ?? "";
    element.append(data["text/html"] ? "" : (data["text/plain"] ?? ""));
    return;
  }
  const inner = document.createElement("div");
  inner.className = "cell-output-ipywidget-background";
  inner.tabIndex = 0;
  element.replaceChildren(inner);
  const model = await manager.get_model(data[VIEW].model_id);
  const view = await manager.create_view(model, { el: inner });
  await manager.display_view(data, view, { node: inner });
}

function outputOf(cell, { data, transient }) {
  const room = document.createElement("div");
  room.className = "output_container";
  room.innerHTML = '<div class="output"><div></div></div>';
  cell.append(room);
  const element = room.firstChild.firstChild;
  if (transient?.display_id) shown.set(transient.display_id, { element, model: data[VIEW]?.model_id });
  fill(element, data).catch((error) => failures.push(String(error)));
}

// the same widget in the same place is not drawn anew
kernel.iopubMessage.connect((_, { header, content }) => {
  const place = header.msg_type === "update_display_data" && shown.get(content.transient.display_id);
  if (place && place.model !== content.data[VIEW]?.model_id) fill(place.element, content.data);
});

window.buffers = 0;
kernel.iopubMessage.connect((_, { header, buffers }) => {
  if (header.msg_type === "comm_msg" && buffers?.length) {
    if (!buffers.every((buffer) => buffer instanceof DataView)) failures.push("a buffer is no DataView");
    window.buffers += buffers.length;
  }
});

window.failures = failures;

/** Run a cell as the extension does, and tell what it printed. */
window.run = async (code) => {
  const cell = document.createElement("div");
  cell.className = "cell_container";
  document.getElementById("container").append(cell);
  let text = "";
  const content = { code, silent: false, stop_on_error: false, allow_stdin: true, store_history: true };
  const future = kernel.requestExecute(content, false, { cellId: `vscode-notebook-cell:${code.length}` });
  future.onIOPub = ({ header, content }) => {
    if (header.msg_type === "stream") text += content.text;
    if (header.msg_type === "error") text += content.traceback.join("\n");
    if (["display_data", "execute_result"].includes(header.msg_type)) outputOf(cell, content);
  };
  await future.done;
  return text;
};

/** Take another theme, as VS Code's webviews do: a class of the body, and variables of the root. */
window.dress = ({ kind, colours }) => {
  const { body, documentElement } = document;
  body.className = kind === "vscode-high-contrast-light" ? `${kind} vscode-high-contrast` : kind;
  body.dataset.vscodeThemeKind = kind;
  for (const [name, value] of Object.entries(colours)) documentElement.style.setProperty(`--vscode-${name}`, value);
};
window.ready = true;
