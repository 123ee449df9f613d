// Keeps event streams open: proxies cut connections that are silent for longer than a picture takes.
import type { SSEStreamingApi } from 'hono/streaming';

const HEARTBEAT_MS = 10_000;

/** Writes a comment, which clients skip, every ten seconds until the returned function is called. */
export function keepAlive(stream: SSEStreamingApi): () => void {
  const timer = setInterval(() => void stream.write(': alive\n\n').catch(() => undefined), HEARTBEAT_MS);
  return () => clearInterval(timer);
}
