// The last N things of an endless sequence. Positions are absolute: they never change while a thing is kept.

export class Ring<T> {
  private readonly kept: T[] = [];
  private start = 0;
  /** Position of the oldest thing that is kept. */
  first = 0;

  constructor(readonly capacity: number) {}

  /** Position after the newest thing. */
  get end(): number {
    return this.first + this.size;
  }

  get size(): number {
    return this.kept.length;
  }

  push(thing: T): void {
    if (this.kept.length < this.capacity) {
      this.kept.push(thing);
    } else {
      this.kept[this.start] = thing;
      this.start = (this.start + 1) % this.capacity;
      this.first += 1;
    }
  }

  /** The thing at an absolute position; undefined when it is gone or has not come. */
  at(position: number): T | undefined {
    if (position < this.first || position >= this.end) return undefined;
    return this.kept[(this.start + position - this.first) % this.kept.length];
  }

  get last(): T | undefined {
    return this.at(this.end - 1);
  }

  clear(): void {
    this.first = this.end;
    this.kept.length = 0;
    this.start = 0;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let position = this.first; position < this.end; position++) yield this.at(position) as T;
  }
}
