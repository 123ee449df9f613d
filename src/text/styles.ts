// Styles: prompts kept under a name, as the Stable Diffusion WebUI's styles.csv has them, or lists of the same in JSON.
import { ImageForgeError } from '../shared/errors.js';

export interface Style {
  name: string;
  prompt: string;
  negativePrompt: string;
}

/** A style goes around the prompt where it has {prompt}, else behind it, parted by a comma. */
export function applyStyles<T extends { prompt: string; negativePrompt: string }>(
  prompts: T,
  styles: readonly Style[],
): T {
  return {
    ...prompts,
    prompt: styles.reduce((text, style) => merge(style.prompt, text), prompts.prompt),
    negativePrompt: styles.reduce((text, style) => merge(style.negativePrompt, text), prompts.negativePrompt),
  };
}

function merge(style: string, text: string): string {
  if (style.includes('{prompt}')) return style.replaceAll('{prompt}', () => text);
  return [text.trim(), style.trim()].filter((part) => part !== '').join(', ');
}

/**
 * The styles of these names, in their order.
 * @throws ImageForgeError INVALID_ARGUMENT that lists what there is
 */
export function findStyles(names: readonly string[], known: readonly Style[], folder: string): Style[] {
  return names.map((name) => {
    const style =
      known.find((one) => one.name === name) ??
      known.find((one) => one.name.toLowerCase() === name.toLowerCase());
    if (style) return style;
    const list = known.map((one) => one.name).join(', ');
    throw new ImageForgeError('INVALID_ARGUMENT', `styles: there is no style ${name} in ${folder}.`, {
      hint: list === '' ? 'There are none: they lie in styles.csv or styles.json.' : `Available: ${list}.`,
      details: { fields: ['styles'], style: name, known: known.map((one) => one.name) },
    });
  });
}

/** @throws ImageForgeError INVALID_ARGUMENT where the file has no styles */
export function readStyles(text: string, file: string): Style[] {
  const plain = text.replace(/^\ufeff/, '');
  return file.toLowerCase().endsWith('.json') ? readJsonStyles(plain, file) : readCsvStyles(plain, file);
}

/** The columns name, prompt and negative_prompt; old files call the prompt "text". */
function readCsvStyles(text: string, file: string): Style[] {
  const [header = [], ...rows] = parseCsv(text);
  const columns = header.map((name) => name.trim().toLowerCase());
  const column = (...names: string[]) => columns.findIndex((name) => names.includes(name));
  const [name, prompt, negative] = [column('name'), column('prompt', 'text'), column('negative_prompt')];
  if (name === -1 || prompt === -1)
    throw refuseFile(
      file,
      `expected a first line with name,prompt,negative_prompt, found ${header.join() || 'nothing'}`,
    );
  return rows
    .filter((row) => (row[name] ?? '').trim() !== '')
    .map((row) => ({
      name: row[name]!.trim(),
      prompt: row[prompt] ?? '',
      negativePrompt: row[negative] ?? '',
    }));
}

const expectedJson = 'expected a list of {"name", "prompt", "negative_prompt"}';

/** A list of {name, prompt, negative_prompt}, or an object of them by name. */
function readJsonStyles(text: string, file: string): Style[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw refuseFile(file, `it is no JSON: ${(error as Error).message}`);
  }
  if (typeof json !== 'object') throw refuseFile(file, expectedJson);
  const entries: unknown[] = Array.isArray(json)
    ? json
    : Object.entries((json ?? {}) as object).map(([name, style]) => ({ name, ...(style as object) }));
  return entries.map((entry) => {
    const {
      name,
      prompt = '',
      negative_prompt: negativePrompt = '',
    } = (entry ?? {}) as Record<string, unknown>;
    if (typeof name !== 'string' || typeof prompt !== 'string' || typeof negativePrompt !== 'string')
      throw refuseFile(file, expectedJson);
    return { name, prompt, negativePrompt };
  });
}

function refuseFile(file: string, problem: string): ImageForgeError {
  return new ImageForgeError('INVALID_ARGUMENT', `${file}: ${problem}.`, { details: { file } });
}

/** Rows of comma-separated values (RFC 4180): quoted ones may hold commas, line ends and doubled quotes. */
export function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  const values = /(?:"((?:[^"]|"")*)"[^,\r\n]*|([^,\r\n]*))(,|\r\n|\r|\n|$)/y;
  while (values.lastIndex < text.length || row.length > 0) {
    const [, quoted, plain, end] = values.exec(text)!;
    row.push(quoted === undefined ? plain! : quoted.replaceAll('""', '"'));
    if (end === ',') continue;
    rows.push(row);
    row = [];
  }
  return rows;
}
