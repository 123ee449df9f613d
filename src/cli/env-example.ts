// Makes the text of .env.example from the table of settings; `imageforge config --example` prints it.
import { type SettingName, settings } from '../shared/settings.js';

const GROUPS: Record<string, readonly SettingName[]> = {
  Model: [
    'model',
    'modelDir',
    'hubCache',
    'hubHome',
    'hubEndpoint',
    'hubToken',
    'loraDir',
    'embeddingDir',
    'promptDir',
    'promptSyntax',
    'portraitLora',
    'allowFlux',
    'allowKlein',
  ],
  Machine: ['device', 'memoryMode', 'threads', 'warmup', 'unloadTimeout'],
  Pictures: ['outputDir', 'maxRes', 'defaultSteps', 'defaultGuidance', 'cacheDir', 'cacheMaxBytes'],
  Server: ['host', 'port', 'apiKey', 'allowRemote', 'allowedPaths', 'queueLimit', 'logLevel'],
  'Prompt assist': ['ollamaUrl', 'ollamaModel'],
};

const HEAD = `# Settings of ImageForge. Copy to .env in the folder where it is started; the environment stands above this file.
# Every line shows the default; an empty value means it. Paths may begin with ~ and hold $NAME.
# Where a setting has two names, either works; the first one wins.
`;

export function formatEnvExample(): string {
  const groups = Object.entries(GROUPS).map(
    ([title, keys]) => `\n# --- ${title} ---\n${keys.map(formatSetting).join('')}`,
  );
  return `${HEAD}${groups.join('')}`;
}

function formatSetting(key: SettingName): string {
  const {
    names,
    about,
    allowed,
    isPath,
    default: value,
  } = settings[key] as {
    names: readonly string[];
    about: string;
    allowed: string;
    isPath?: boolean;
    default: unknown;
  };
  const bounds = isPath || (allowed.startsWith('a ') && !/\d/.test(allowed)) ? '' : ` Allowed: ${allowed}.`;
  const lines = names.map((name) => `# ${name}=${formatDefault(value)}\n`);
  return `\n# ${about}${bounds}\n${lines.join('')}`;
}

function formatDefault(value: unknown): string {
  if (value === undefined || Array.isArray(value)) return '';
  return typeof value === 'boolean' ? String(Number(value)) : String(value);
}
