import { readFileSync } from "node:fs";
import tls from "node:tls";
import { Agent, type Dispatcher, EnvHttpProxyAgent, ProxyAgent, Socks5ProxyAgent } from "undici";
import type { Config } from "./config.ts";
import { ExitError } from "./exit-codes.ts";

export type NetworkSettings = {
  proxyUrl: string | null;
  insecureTls: boolean;
  caCertFile: string | null;
};

export const networkOf = (config: Config): NetworkSettings => ({
  proxyUrl: config.proxyUrl?.href ?? null,
  insecureTls: config.insecureTls,
  caCertFile: config.caCertFile,
});

/**
 * The way to the master: straight, through the named proxy, or through the environment's. A WebSocket to a master
 * without TLS needs a `tunnel`; other calls do without, because many proxies only tunnel to port 443.
 */
export function makeDispatcher(
  { proxyUrl, insecureTls }: NetworkSettings,
  { tunnel = false } = {},
): Dispatcher {
  const connection = insecureTls ? { rejectUnauthorized: false } : {};
  const options = {
    // A WebSocket needs HTTP/1.1, and one protocol for all calls is easier to reason about.
    allowH2: false,
    connect: { timeout: 10_000, ...connection },
    keepAliveTimeout: 30_000,
    connections: 8,
    headersTimeout: 300_000,
    bodyTimeout: 300_000,
  };
  const proxied = {
    ...options,
    requestTls: connection,
    proxyTls: connection,
    ...(tunnel ? { proxyTunnel: true } : {}),
  };
  if (proxyUrl === null) return anyProxyInEnvironment() ? new EnvHttpProxyAgent(proxied) : new Agent(options);
  const { protocol } = new URL(proxyUrl);
  if (protocol === "http:" || protocol === "https:") return new ProxyAgent({ ...proxied, uri: proxyUrl });
  return socksDispatcher(new URL(proxyUrl), connection);
}

/** The way to storages: certificates are always checked there, and NO_PROXY is honoured for the named proxy too. */
export function makeStorageDispatcher({ proxyUrl }: NetworkSettings): Dispatcher {
  const options = {
    allowH2: false,
    connect: { timeout: 10_000 },
    keepAliveTimeout: 30_000,
    headersTimeout: 300_000,
  };
  if (proxyUrl === null) return anyProxyInEnvironment() ? new EnvHttpProxyAgent(options) : new Agent(options);
  if (!proxyUrl.startsWith("http")) return socksDispatcher(new URL(proxyUrl), {});
  return new EnvHttpProxyAgent({ ...options, httpProxy: proxyUrl, httpsProxy: proxyUrl });
}

/** Adds a private CA to those that Node and the system trust, for every connection of this process. */
export function trustOwnCa({ caCertFile }: NetworkSettings): void {
  if (caCertFile === null) return;
  let own: string;
  try {
    own = readFileSync(caCertFile, "utf8");
  } catch (error) {
    throw new ExitError("usage", `caCertFile: ${caCertFile}: ${(error as NodeJS.ErrnoException).code}`);
  }
  if (!own.includes("-----BEGIN CERTIFICATE-----")) {
    throw new ExitError("usage", `caCertFile: ${caCertFile} holds no PEM certificate`);
  }
  tls.setDefaultCACertificates([
    ...tls.getCACertificates("bundled"),
    ...tls.getCACertificates("system"),
    ...tls.getCACertificates("extra"),
    own,
  ]);
}

const anyProxyInEnvironment = (): boolean =>
  ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"].some((name) => process.env[name]);

function socksDispatcher(proxy: URL, connection: { rejectUnauthorized?: boolean }): Dispatcher {
  const login = proxy.username
    ? { username: decodeURIComponent(proxy.username), password: decodeURIComponent(proxy.password) }
    : {};
  return new Socks5ProxyAgent(`socks5://${proxy.host}`, { ...login, requestTls: connection });
}
