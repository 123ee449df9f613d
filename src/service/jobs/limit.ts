// Limits how many pieces of work run at the same time; the others wait in order.

export function limitConcurrency(limit: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      // Hands the place to the next in line directly, so that a newcomer cannot take it first.
      if (next) next();
      else running--;
    }
  };
}
