// Formats times for sidecars, answers and file names.

/** Local time as 2026-06-10T07:58:28. */
export function formatLocalTime(date: Date): string {
  const { day, time } = split(date);
  return `${day.join('-')}T${time.join(':')}`;
}

/** Local time as 20260610_075828, for file names. */
export function formatFileTime(date: Date): string {
  const { day, time } = split(date);
  return `${day.join('')}_${time.join('')}`;
}

/** UTC as 2026-06-10T07:58:28Z. */
export function formatUtcTime(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}

function split(date: Date): { day: string[]; time: string[] } {
  const pad = (value: number) => String(value).padStart(2, '0');
  return {
    day: [String(date.getFullYear()), pad(date.getMonth() + 1), pad(date.getDate())],
    time: [pad(date.getHours()), pad(date.getMinutes()), pad(date.getSeconds())],
  };
}
