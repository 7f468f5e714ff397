// What a page knows of an image's layers, and what it has asked the kernel. Knows no document.

import { Channel, type Model } from "./channel.ts";
import type { TreeState } from "./file_tree.ts";
import type {
  Answer,
  ChangeCounts,
  ComparedImages,
  ExploredImage,
  LayerParts,
  LayerReplay,
  Question,
  WastedFiles,
} from "./layer_messages.ts";
import type { Source } from "./layer_stack.ts";
import type { Failure, First } from "./messages.ts";

const ANSWERS_KEPT = 400;

/** What a reader has chosen; all views have it in common, and one that a page makes in place of another goes on with it. */
export class LayerChoices {
  chosen: Source = "";
  /** The image that is to be compared with, until it is. */
  wanted = "";
  asking: Question | null = null;
  /** Why the last comparison failed. */
  failure: Failure | null = null;
  text = "";
  readonly changes = new Set<string>();
  readonly trees = new Map<Source, TreeState>();
  scrollTop = 0;
  showsWaste = false;
}

export class LayerStore {
  readonly choices = new LayerChoices();
  image: ExploredImage | null = null;
  readonly changes = new Map<number, ChangeCounts>();
  wasted: WastedFiles | null = null;
  comparison: ComparedImages | null = null;
  failure: Failure | null = null;
  readonly channel: Channel<LayerParts, LayerReplay>;
  /** Files of a layer never change, so an answer is asked for once. */
  private readonly answers = new Map<string, Answer>();
  private readonly asked = new Set<string>();

  constructor(model: Model, first: First<LayerReplay> | null) {
    this.channel = new Channel<LayerParts, LayerReplay>(model, this, first);
  }

  replay(data: LayerReplay): void {
    this.image = data.image;
    this.changes.clear();
    this.update(data);
    // an answer may be what was missed
    for (const question of this.asked) this.channel.act(question);
  }

  update({ changes, wasted, comparison, failure, answers }: LayerParts): void {
    for (const [layer, added, modified, removed] of changes ?? []) this.changes.set(layer, [added, modified, removed]);
    if (wasted !== undefined) this.wasted = wasted;
    if (comparison !== undefined) this.comparison = comparison;
    if (failure !== undefined) this.failure = failure;
    for (const answer of answers ?? []) this.keep(answer);
  }

  private keep(answer: Answer): void {
    // what another page asked for is no answer here
    if (!this.asked.delete(answer.question)) return;
    this.answers.set(answer.question, answer);
    if (this.answers.size > ANSWERS_KEPT) {
      const [oldest] = this.answers.keys();
      if (oldest !== undefined) this.answers.delete(oldest);
    }
  }

  /** The answer, if there is one; else it is asked for, and a view hears when it has come. */
  ask(question: Question): Answer | null {
    const text = JSON.stringify(question);
    const answer = this.answers.get(text);
    if (answer) return answer;
    if (!this.asked.has(text)) {
      this.asked.add(text);
      this.channel.act(text);
    }
    return null;
  }

  /** Forget an answer that failed, or that may be another one next time. */
  forget(question: Question): void {
    this.answers.delete(JSON.stringify(question));
  }

  /** Whether a question is waiting for its answer. */
  waits(question: Question): boolean {
    return this.asked.has(JSON.stringify(question));
  }
}
