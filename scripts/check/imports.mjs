// The house's one-way streets: in src/ and native/ a folder imports only folders to its right, and the doors (command
// line, HTTP, MCP) know neither the engine nor what lies behind it. Part of `npm run lint`; prints each import that
// breaks a rule, with its line.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** From the doors to the leaves; the package's entry, src/index.ts, may take from all of them. */
const order = {
  src: 'cli http mcp library service registry engine pipeline families sampling text weights native shared'.split(
    ' ',
  ),
  native: 'addon models nn core kernels'.split(' '),
};
const doors = ['cli', 'http', 'mcp'];
const behindTheService = ['engine', 'pipeline', 'native'];

/** The part of Node-API stays in one folder: the rest is built without Node. */
const napi = /^(napi|node_api|js_native_api)\.h$/;

const patterns = {
  // Static imports and exports, dynamic imports, and types written as import('…').
  '.ts': /\b(?:from|import)\s*\(?\s*'(\.[^']*)'/g,
  '.cpp': /#\s*include\s*["<]([^">]+)[">]/g,
};
patterns['.h'] = patterns['.cpp'];

/** @returns {string | undefined} what is wrong with an import from one folder into another */
function judge(tree, from, to) {
  if (from === to) return undefined;
  const folders = order[tree];
  for (const folder of [from, to])
    if (!folders.includes(folder))
      return `${tree}/${folder} has no place in the order of ${import.meta.filename}`;
  if (folders.indexOf(from) > folders.indexOf(to)) return `${from} may not know ${to}, which lies before it`;
  if (doors.includes(from) && behindTheService.includes(to))
    return `a door may not know ${to}: ask the service`;
  return undefined;
}

/** The folder that an import reaches, undefined where it leaves the tree or names a file at its top. */
function resolveFolder(tree, file, target) {
  const name =
    tree === 'src'
      ? path.posix.join(path.posix.dirname(file), target)
      : target.includes('/')
        ? target
        : undefined;
  const parts = name?.split('/') ?? [];
  if (tree === 'src') return parts.length > 1 && parts[0] !== '..' ? parts[0] : undefined;
  return order.native.includes(parts[0]) ? parts[0] : undefined;
}

const problems = [];
let files = 0;
for (const tree of Object.keys(order)) {
  for (const entry of readdirSync(path.join(root, tree), { recursive: true })) {
    const file = entry.split(path.sep).join('/');
    const folder = file.split('/')[0];
    const pattern = patterns[path.extname(file)];
    if (!pattern || !file.includes('/') || (tree === 'native' && folder === 'tests')) continue;
    files += 1;
    const text = readFileSync(path.join(root, tree, file), 'utf8');
    for (const match of text.matchAll(pattern)) {
      const target = match[1];
      const reached = resolveFolder(tree, file, target);
      const problem =
        tree === 'native' && napi.test(target) && folder !== 'addon'
          ? `${target} belongs to native/addon alone`
          : reached && judge(tree, folder, reached);
      if (!problem) continue;
      const line = text.slice(0, match.index).split('\n').length;
      problems.push(`${tree}/${file}:${line}: ${target}: ${problem}`);
    }
  }
}
for (const problem of problems) console.error(problem);
if (files === 0) throw new Error('No sources found.');
if (problems.length > 0) console.error(`${problems.length} imports break the order of the folders.`);
process.exitCode = problems.length > 0 ? 1 : 0;
