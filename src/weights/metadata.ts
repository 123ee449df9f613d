// The key-values of a GGUF file. Long arrays (the hundred thousand words of a tokenizer) stay bytes and are decoded when
// somebody asks for them.
import type { MetadataValue } from './types.js';

export class Metadata extends Map<string, MetadataValue> {
  #pending = new Map<string, () => MetadataValue>();

  /** Sets a value that `decode` makes when it is first asked for. */
  defer(key: string, decode: () => MetadataValue): void {
    super.set(key, []);
    this.#pending.set(key, decode);
  }

  override get(key: string): MetadataValue | undefined {
    const decode = this.#pending?.get(key);
    if (decode) {
      this.#pending.delete(key);
      super.set(key, decode());
    }
    return super.get(key);
  }

  override *entries(): MapIterator<[string, MetadataValue]> {
    for (const key of super.keys()) yield [key, this.get(key)!];
  }

  override *values(): MapIterator<MetadataValue> {
    for (const key of super.keys()) yield this.get(key)!;
  }

  override forEach(
    visit: (value: MetadataValue, key: string, map: Map<string, MetadataValue>) => void,
  ): void {
    for (const key of super.keys()) visit(this.get(key)!, key, this);
  }

  override [Symbol.iterator](): MapIterator<[string, MetadataValue]> {
    return this.entries();
  }
}
