// Describes the value of a field for messages.

export function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string' && value.length > 60) return `${value.length} characters`;
  if (typeof value === 'bigint') return String(value);
  return JSON.stringify(value)?.slice(0, 80) ?? String(value);
}
