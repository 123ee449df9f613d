// The tables of docs/weight-files.md say what the code does with every type that files can have.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { ggmlTypeNames, handlingOf, safetensorsTypeNames } from '../../../src/weights/tensor-types.js';

const page = readFileSync(resolve(import.meta.dirname, '../../../docs/weight-files.md'), 'utf8');
const section = (title: string) => page.split(`\n## ${title}\n`)[1]!.split('\n## ')[0]!;
const rowsOf = (text: string) =>
  text
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| ---'))
    .slice(1)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
const quoted = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);

test('every GGUF type is in the table once, with how it is handled', () => {
  const told = new Map<string, string>();
  for (const [types, handled] of rowsOf(section('GGUF')))
    for (const type of quoted(types!)) {
      expect(told.has(type), type).toBe(false);
      told.set(type, handled!);
    }
  expect([...told.keys()].sort()).toEqual([...ggmlTypeNames.values()].sort());
  for (const [type, handled] of told) expect(handled, type).toBe(handlingOf(type));
});

test('every dtype of safetensors that holds weights is on the page, and what is refused is said to be', () => {
  const [read, refused] = section('safetensors').split('\nRefused, by name:\n');
  for (const [storage, dtypes, , handled] of rowsOf(read!))
    for (const dtype of quoted(dtypes!)) {
      const type = safetensorsTypeNames.get(dtype);
      expect(type, dtype).toBeDefined();
      // Plain bytes are weights only with the tensors beside them.
      if (!/^[IU]8$/.test(dtype)) expect(handled, storage).toBe(handlingOf(type!));
      else expect(handled, storage).toBe('widened');
    }
  for (const [dtype, type] of safetensorsTypeNames) {
    if (/^(I|U)\d+$|^BOOL$|^F8_E8M0$/.test(dtype)) continue;
    const text = handlingOf(type) === 'refused' ? refused! : section('safetensors');
    expect(text, dtype).toContain(`\`${dtype}\``);
  }
});
