// Logs go to stderr, since stdout belongs to MCP and to piped output. Servers log JSON lines with pino; people get text.
import type { Settings } from './settings.js';

export type LogLevel = Settings['logLevel'];

export interface Logger {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

const ignore = () => undefined;
export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

/** Writes JSON lines to stderr. pino is loaded here, since only servers need it. */
export async function createJsonLogger(level: LogLevel): Promise<Logger> {
  const { pino } = await import('pino');
  const redact = ['apiKey', 'hubToken', 'authorization', '*.apiKey', '*.hubToken', '*.authorization'];
  const logger: Logger = pino({ level, base: null, redact }, pino.destination({ dest: 2, sync: true }));
  return logger;
}

/** Writes `level: message fact=value` lines for a terminal. */
export function createTextLogger(write: (line: string) => void): Logger {
  const line = (level: string) => (facts: object, message: string) => {
    const pairs = Object.entries(facts).map(([key, value]) => ` ${key}=${formatFact(value)}`);
    write(`${level}: ${message}${pairs.join('')}\n`);
  };
  return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
}

function formatFact(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(value.message);
  return typeof value === 'string' && /^[^\s"]+$/.test(value)
    ? value
    : (JSON.stringify(value) ?? 'undefined');
}
