/**
 * Shapes of plain objects: the names of their properties in their order. A writer finds the shape of an object by walking
 * along its names; a reader knows it by its signature and keeps one compiled function for each.
 */

/** Shapes that a writer or reader remembers before it starts afresh. */
export const REMEMBERED = 4096;

/** A property of a shape, at the end of those before it. */
export class Shape {
  readonly names: readonly string[];
  readonly #next = new Map<string, Shape>();
  #lastName = '';
  #last: Shape | null = null;
  /** Number of this shape in the frame `frame`. */
  number = 0;
  frame = -1;
  #signature: string | null = null;

  constructor(names: readonly string[]) {
    this.names = names;
  }

  /** What a reader knows it by. */
  get signature(): string {
    this.#signature ??= JSON.stringify(this.names);
    return this.#signature;
  }

  to(name: string): Shape | null {
    if (name === this.#lastName && this.#last !== null) return this.#last;
    const next = this.#next.get(name) ?? null;
    if (next === null) return null;
    this.#lastName = name;
    this.#last = next;
    return next;
  }

  add(name: string): Shape {
    const step = new Shape([...this.names, name]);
    this.#next.set(name, step);
    return step;
  }
}

/** A signature is written as UTF-8 behind its length. */
export function signatureBytes(signature: string): number {
  return 2 + Buffer.byteLength(signature);
}

/** Structure as msgpackr keeps it: the names, and the reader that it compiles when it has met some. */
type Structure = string[];

const structures = new Map<string, Structure>();

/** The structure of a signature: the same one each time, so that its reader is compiled once. */
function structureOf(signature: string): Structure {
  let structure = structures.get(signature);
  if (structure === undefined) {
    if (structures.size >= REMEMBERED) structures.clear();
    structure = JSON.parse(signature) as Structure;
    structures.set(signature, structure);
  }
  return structure;
}

/** The structures that a reader needs, from their signatures: so many, each behind its length, from `at` on. */
export function readShapes(buffer: Buffer, count: number, at: number): unknown[] {
  const shapes: unknown[] & { sharedLength?: number } = [];
  for (let left = count, from = at; left > 0; left--) {
    const length = buffer.readUInt16LE(from);
    shapes.push(structureOf(buffer.toString('utf8', from + 2, from + 2 + length)));
    from += 2 + length;
  }
  shapes.sharedLength = shapes.length;
  return shapes;
}
