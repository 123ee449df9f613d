// Byte pair encoding over integer symbols: the merge loop that CLIP's, Qwen's and Mistral's tokenizers share.
// A word of n symbols costs O(n log n), so one huge word cannot stall a server.

// A pair of symbols, or a rank and a position, are packed into one double; both stay below 2^53.
const symbolLimit = 2 ** 21;
const positionLimit = 2 ** 32;

/** Which neighbours merge, and into what. Pairs that were added earlier merge earlier. */
export class MergeTable {
  readonly #ranks = new Map<number, number>();
  readonly #merged: number[] = [];

  add(left: number, right: number, merged: number): void {
    const pair = left * symbolLimit + right;
    if (!this.#ranks.has(pair)) this.#ranks.set(pair, this.#merged.length);
    this.#merged.push(merged);
  }

  /** Merges the symbols of one word until no two neighbours are in the table. */
  merge(word: readonly number[]): number[] {
    const symbols = [...word];
    const following = symbols.map((_, i) => i + 1);
    const preceding = symbols.map((_, i) => i - 1);
    const queue = new MinHeap();

    const rankAt = (at: number): number | undefined => {
      const right = symbols[following[at]!];
      return right === undefined ? undefined : this.#ranks.get(symbols[at]! * symbolLimit + right);
    };
    const offer = (at: number): void => {
      const rank = at < 0 ? undefined : rankAt(at);
      if (rank !== undefined) queue.push(rank * positionLimit + at);
    };

    for (let at = 0; at < symbols.length; at++) offer(at);
    for (let best = queue.pop(); best !== undefined; best = queue.pop()) {
      const rank = Math.floor(best / positionLimit);
      const at = best % positionLimit;
      if (symbols[at] === gone || rankAt(at) !== rank) continue; // a neighbour has merged meanwhile
      const right = following[at]!;
      symbols[at] = this.#merged[rank]!;
      symbols[right] = gone;
      following[at] = following[right]!;
      if (following[at]! < symbols.length) preceding[following[at]!] = at;
      offer(preceding[at]!);
      offer(at);
    }
    return symbols.filter((symbol) => symbol !== gone);
  }
}

const gone = -1;

class MinHeap {
  readonly #items: number[] = [];

  push(value: number): void {
    const items = this.#items;
    let at = items.length;
    items.push(value);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (items[parent]! <= value) break;
      items[at] = items[parent]!;
      at = parent;
    }
    items[at] = value;
  }

  pop(): number | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (items.length === 0 || last === undefined) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && items[child + 1]! < items[child]!) child++;
      if (items[child]! >= last) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = last;
    return top;
  }
}
