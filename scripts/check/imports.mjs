// Checks the direction of imports, as part of `npm run lint`:
// - in src/ and native/ a folder imports only folders to its right;
// - the doors (command line, HTTP, MCP) import neither the engine, nor anything behind it, nor the parts of the service
//   that run it: they ask `ImageService`;
// - no file reaches itself through its imports, types included.
// Prints each import that breaks a rule, with its line.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** From the doors to the leaves. The package's entry, src/index.ts, may import all of them. */
const order = {
  src: 'cli http mcp library service registry engine pipeline families sampling text weights native shared'.split(
    ' ',
  ),
  native: 'addon models nn core kernels'.split(' '),
};
const doors = ['cli', 'http', 'mcp'];
const behindTheService = ['engine', 'pipeline', 'native'];
/** The files that run the service. Only files in the same folder may import them. */
const insideTheService = /^service\/(engine-room|lifecycle|make-images|make-larger|workshop)\.ts$/;

/** Only one folder uses Node-API; the rest builds without Node. */
const napi = /^(napi|node_api|js_native_api)\.h$/;

const patterns = {
  // Static imports and exports, dynamic imports, and types written as import('…').
  '.ts': /\b(?:from|import)\s*\(?\s*'(\.[^']*)'/g,
  '.cpp': /#\s*include\s*["<]([^">]+)[">]/g,
};
patterns['.h'] = patterns['.cpp'];

/** Lists every import of a tree. `target` is the imported file, or undefined if that is outside the tree. */
function readImports(tree) {
  const files = readdirSync(path.join(root, tree), { recursive: true })
    .map((entry) => entry.split(path.sep).join('/'))
    .filter((file) => patterns[path.extname(file)] && !(tree === 'native' && file.startsWith('tests/')));
  const known = new Set(files);
  const imports = [];
  for (const file of files) {
    const text = readFileSync(path.join(root, tree, file), 'utf8');
    for (const match of text.matchAll(patterns[path.extname(file)])) {
      const line = text.slice(0, match.index).split('\n').length;
      const target = findTarget(tree, file, match[1]);
      imports.push({ file, line, written: match[1], target: known.has(target) ? target : undefined });
    }
  }
  if (files.length === 0) throw new Error(`No sources found in ${tree}.`);
  return imports;
}

function findTarget(tree, file, written) {
  const beside = path.posix.join(path.posix.dirname(file), written);
  if (tree === 'src') return beside.replace(/\.js$/, '.ts');
  // Includes name files from native/, or files beside them.
  return written.includes('/') ? written : beside;
}

/** @returns {string | undefined} what is wrong with one import, if anything */
function judge(tree, { file, written, target }) {
  const from = file.split('/')[0];
  if (tree === 'native' && napi.test(written) && from !== 'addon')
    return `${written} belongs to native/addon alone`;
  const to = target?.split('/')[0];
  if (to === undefined || !file.includes('/') || !target.includes('/')) return undefined;
  if (doors.includes(from) && insideTheService.test(target)) return 'a door asks ImageService, not its parts';
  if (from === to) return undefined;
  const folders = order[tree];
  for (const folder of [from, to])
    if (!folders.includes(folder))
      return `${tree}/${folder} has no place in the order of ${path.basename(import.meta.filename)}`;
  if (folders.indexOf(from) > folders.indexOf(to)) return `${from} may not know ${to}, which lies before it`;
  if (doors.includes(from) && behindTheService.includes(to))
    return `a door may not know ${to}: ask the service`;
  return undefined;
}

/** Finds files that reach themselves. Reports each circle once, as its path. */
function findCircles(imports) {
  const reached = new Map();
  for (const { file, target } of imports)
    if (target) reached.set(file, [...(reached.get(file) ?? []), target]);
  const circles = [];
  const done = new Set();
  const way = [];
  const visit = (file) => {
    if (way.includes(file)) {
      circles.push([...way.slice(way.indexOf(file)), file].join(' -> '));
      return;
    }
    if (done.has(file)) return;
    way.push(file);
    for (const target of reached.get(file) ?? []) visit(target);
    way.pop();
    done.add(file);
  };
  for (const file of reached.keys()) visit(file);
  return circles;
}

const problems = [];
for (const tree of Object.keys(order)) {
  const imports = readImports(tree);
  for (const found of imports) {
    const problem = judge(tree, found);
    if (problem) problems.push(`${tree}/${found.file}:${found.line}: ${found.written}: ${problem}`);
  }
  for (const circle of findCircles(imports)) problems.push(`${tree}: a circle of imports: ${circle}`);
}
for (const problem of problems) console.error(problem);
if (problems.length > 0) console.error(`${problems.length} problems with imports.`);
process.exitCode = problems.length > 0 ? 1 : 0;
