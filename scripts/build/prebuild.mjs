// Lays the compiled addon out where node-gyp-build looks for it: prebuilds/<platform>-<arch>/, with its libraries beside
// it. Run it after install.mjs on each platform; the package includes that folder.

import { cp, mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const from = path.join(root, 'build/Release');
const into = path.join(root, 'prebuilds', `${process.platform}-${process.arch}`);
// node-gyp-build reads this tag: a Linux binary needs a certain C library.
const libc =
  process.platform !== 'linux'
    ? ''
    : process.report.getReport().header.glibcVersionRuntime
      ? '.glibc'
      : '.musl';

await rm(into, { recursive: true, force: true });
await mkdir(into, { recursive: true });
for (const name of await readdir(from)) {
  const isAddon = name === 'imageforge.node';
  const isLibrary = /^lib(imageforge-)?ggml.*\.(so|dylib)$/.test(name);
  if (isAddon || isLibrary)
    await cp(path.join(from, name), path.join(into, isAddon ? `imageforge${libc}.node` : name));
}
console.error(`imageforge: prebuilt addon in ${path.relative(process.cwd(), into)}`);
