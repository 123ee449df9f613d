// The tools that compiling needs, and the one command that installs the missing ones.

import { execFileSync } from 'node:child_process';

/**
 * @typedef {{ what: string, commands: string[][], packages: Record<string, string> }} Tool
 * `commands` are tried in order; `packages` has the name of the package for each package manager.
 */

/** @type {Tool[]} */
const tools = [
  {
    what: 'a C++17 compiler',
    commands: [
      ['c++', '--version'],
      ['g++', '--version'],
      ['clang++', '--version'],
    ],
    packages: { apt: 'g++', dnf: 'gcc-c++', pacman: 'gcc', apk: 'g++', zypper: 'gcc-c++' },
  },
  {
    what: 'a C compiler',
    commands: [
      ['cc', '--version'],
      ['gcc', '--version'],
      ['clang', '--version'],
    ],
    packages: { apt: 'gcc', dnf: 'gcc', pacman: 'gcc', apk: 'gcc musl-dev', zypper: 'gcc' },
  },
  {
    what: 'CMake 3.18 or newer',
    commands: [['cmake', '--version']],
    packages: all('cmake'),
  },
  {
    what: 'Ninja or make',
    commands: [
      ['ninja', '--version'],
      ['make', '--version'],
    ],
    packages: { ...all('ninja-build'), pacman: 'ninja', apk: 'ninja', zypper: 'ninja', brew: 'ninja' },
  },
  { what: 'git', commands: [['git', '--version']], packages: all('git') },
  { what: 'tar', commands: [['tar', '--version']], packages: all('tar') },
];

/** The install command of each package manager, in the order in which they are looked for. */
const managers = {
  apt: { probe: ['apt-get', '--version'], install: 'apt-get install -y' },
  dnf: { probe: ['dnf', '--version'], install: 'dnf install -y' },
  pacman: { probe: ['pacman', '--version'], install: 'pacman -S --needed' },
  apk: { probe: ['apk', '--version'], install: 'apk add' },
  zypper: { probe: ['zypper', '--version'], install: 'zypper install -y' },
};

function all(name) {
  return { apt: name, dnf: name, pacman: name, apk: name, zypper: name, brew: name };
}

/** @returns {string | undefined} what the command prints; undefined if it doesn't run */
function probe([command, ...args]) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return undefined;
  }
}

function isPresent(tool) {
  return tool.commands.some((command) => {
    const name = command[0];
    const override = { 'c++': process.env.CXX, cc: process.env.CC }[name];
    if (override) return true;
    const output = probe(command);
    if (output === undefined) return false;
    if (name !== 'cmake') return true;
    const [, major, minor] = /version (\d+)\.(\d+)/.exec(output) ?? [];
    return Number(major) > 3 || (Number(major) === 3 && Number(minor) >= 18);
  });
}

/** @returns {Tool[]} */
export function findMissingTools() {
  return tools.filter((tool) => !isPresent(tool));
}

/** @param {Tool[]} missing */
export function explainMissingTools(missing) {
  const list = missing.map((tool) => `  - ${tool.what}`).join('\n');
  return `ImageForge compiles its native part on this platform, and these tools are missing:\n${list}\n${howToInstall(missing)}`;
}

function howToInstall(missing) {
  if (process.platform === 'darwin') {
    const brew = missing.map((tool) => tool.packages.brew).filter(Boolean);
    const steps = [];
    if (missing.some((tool) => !tool.packages.brew)) steps.push('  xcode-select --install');
    if (brew.length > 0) steps.push(`  brew install ${brew.join(' ')}`);
    return `Install them with:\n${steps.join('\n')}\nthen run the same npm command again.`;
  }
  const found = Object.entries(managers).find(([, manager]) => probe(manager.probe) !== undefined);
  if (!found)
    return 'Install them with the package manager of your system, then run the same npm command again.';
  const [name, manager] = found;
  const packages = [...new Set(missing.flatMap((tool) => tool.packages[name].split(' ')))];
  const sudo = process.getuid?.() === 0 ? '' : 'sudo ';
  return `Install them with:\n  ${sudo}${manager.install} ${packages.join(' ')}\nthen run the same npm command again.`;
}

/** The generator that CMake will use: Ninja if it is installed, else make. */
export function chooseGenerator() {
  return probe(['ninja', '--version']) === undefined ? 'Unix Makefiles' : 'Ninja';
}
