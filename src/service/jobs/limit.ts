// Lets a few pieces of work run at the same time; the others wait in order.

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
      // a place is handed on, so that nobody slips in between
      if (next) next();
      else running--;
    }
  };
}
