// Keeps event streams open: a proxy may cut a connection that stays silent while a picture is made.
import type { SSEStreamingApi } from 'hono/streaming';

const HEARTBEAT_MS = 10_000;

/** Writes a comment, which clients skip, every ten seconds. Returns a function that stops it. */
export function keepAlive(stream: SSEStreamingApi): () => void {
  const timer = setInterval(() => void stream.write(': alive\n\n').catch(() => undefined), HEARTBEAT_MS);
  return () => clearInterval(timer);
}
