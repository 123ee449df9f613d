// Who may use the server: foreign Host and Origin headers, the key, oversized bodies, and addresses that others can reach.
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';
import { requireSafeBinding } from '../../src/http/guard.js';
import { fox, openServer, type TestServer } from './open-server.js';

let server: TestServer;
beforeAll(async () => {
  server = await openServer();
});

/** Sends headers that fetch does not let its caller set. */
const ask = (path: string, headers: Record<string, string>, { url } = server) =>
  new Promise<{ status: number; headers: Record<string, unknown>; body: string }>((resolve, reject) => {
    const sent = httpRequest(`${url}${path}`, { headers }, (response) => {
      let body = '';
      response.on('data', (chunk) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }));
    });
    sent.on('error', reject);
    sent.end();
  });

describe('Host and Origin', () => {
  it.each(['localhost', '127.0.0.1:8765', '[::1]:99', 'LOCALHOST:1'])('answers to %s', async (Host) => {
    expect((await ask('/status', { Host })).status).toBe(200);
  });
  it.each(['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '192.168.1.9'])(
    'refuses "%s"',
    async (Host) => {
      expect((await ask('/status', { Host })).status).toBeGreaterThanOrEqual(400);
    },
  );
  it.each(['https://evil.example', 'null', 'http://localhost.evil.example', 'file://'])(
    'refuses a page from %s',
    async (Origin) => {
      const { status, headers } = await ask('/status', { Origin });
      expect([status, headers['access-control-allow-origin']]).toEqual([403, undefined]);
    },
  );
  it('lets pages from this machine in', async () => {
    const { status, headers } = await ask('/status', { Origin: 'http://localhost:3000' });
    expect([status, headers['access-control-allow-origin']]).toEqual([200, 'http://localhost:3000']);
  });
});

describe('the key', () => {
  it('is needed for everything but health and documentation', async () => {
    const locked = await openServer({ env: { API_KEY: 'correct horse battery' } });
    expect((await locked.get('/health')).status).toBe(200);
    expect((await locked.get('/openapi.json')).status).toBe(200);
    for (const path of ['/status', '/models', '/images/x.png', '/metrics', '/v1/models', '/mcp']) {
      const response = await locked.get(path);
      expect([path, response.status]).toEqual([path, 401]);
      expect(response.headers.get('www-authenticate')).toMatch(/^Bearer/);
    }
    const status = async (headers: Record<string, string>) =>
      (await locked.get('/status', { headers })).status;
    expect(await status({ 'X-API-Key': 'correct horse battery' })).toBe(200);
    expect(await status({ 'X-API-Key': 'correct horse batterz' })).toBe(401);
    expect(await status({ Authorization: 'Bearer correct' })).toBe(401);
    expect(await status({ Authorization: 'Basic correct' })).toBe(401);
  });

  it('is needed to serve other machines, unless a setting allows it', () => {
    const config = { host: '0.0.0.0', apiKey: undefined, allowRemote: false };
    expect(() => requireSafeBinding(config)).toThrow(/HOST=0.0.0.0/);
    expect(() => requireSafeBinding({ ...config, host: '192.168.1.9' })).toThrow();
    for (const host of ['127.0.0.1', 'localhost', '::1', '[::1]'])
      expect(() => requireSafeBinding({ ...config, host })).not.toThrow();
    expect(() => requireSafeBinding({ ...config, apiKey: 'long enough' })).not.toThrow();
    expect(() => requireSafeBinding({ ...config, allowRemote: true })).not.toThrow();
  });
});

describe('sizes', () => {
  it('refuses a body whose header says that it is too long, before it is sent', async () => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    socket.write('POST /edit HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000000\r\n\r\n{');
    const answer = await new Promise<string>((resolve) =>
      socket.once('data', (data) => resolve(String(data))),
    );
    socket.destroy();
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
  });

  it('refuses a picture of too many pixels before it is decoded', async () => {
    const { default: sharp } = await import('sharp');
    const bomb = await sharp({
      create: { width: 16_000, height: 16_000, channels: 3, background: '#000' },
      limitInputPixels: false,
    })
      .png()
      .toBuffer();
    expect(bomb.length).toBeLessThan(2 ** 22);
    const response = await server.post('/edit', { ...fox, init_image: bomb.toString('base64') });
    expect([response.status, (await response.json()).error.code]).toEqual([413, 'TOO_LARGE']);
  });
});
