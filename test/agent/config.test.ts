import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Flags, readConfig } from "../../agent-cli/config.ts";
import { formatDuration, parseDuration } from "../../agent-cli/duration.ts";
import { runAgentCommand, scratch } from "./agent-process.ts";

function read(parts: { flags?: Flags; yaml?: string; env?: Record<string, string> }) {
  const folder = scratch();
  const file = join(folder, "agent.yaml");
  if (parts.yaml !== undefined) writeFileSync(file, parts.yaml);
  const flags = { ...parts.flags, ...(parts.yaml === undefined ? {} : { config: file }) };
  const config = readConfig(flags, {
    env: parts.env ?? {},
    isRoot: false,
    ignoreFile: parts.yaml === undefined,
  });
  return { config, file };
}

const problem = (parts: Parameters<typeof read>[0]): string => {
  try {
    read(parts);
  } catch (error) {
    expect(error).toMatchObject({ exit: "usage" });
    return (error as Error).message;
  }
  throw new Error("it was accepted");
};

/** Each key with its flag's name, its variable, three different values, and where it ends up. */
const keys = [
  ["master", "master", "MASTER", "https://a.test/", "https://b.test/", "https://c.test/", "master"],
  [
    "heartbeatInterval",
    "heartbeatInterval",
    "HEARTBEAT_INTERVAL",
    "15s",
    "5m",
    "1h30m",
    "heartbeatIntervalMs",
  ],
  ["pollInterval", "pollInterval", "POLL_INTERVAL", "1s", "2s", "3s", "pollIntervalMs"],
  ["tempDir", "tempDir", "TEMP_DIR", "/a", "/b", "/c", "tempDir"],
  ["stateDir", "stateDir", "STATE_DIR", "/a", "/b", "/c", "stateDir"],
  ["proxyUrl", "proxyUrl", "PROXY_URL", "http://a.test/", "https://b.test/", "socks5://c.test", "proxyUrl"],
  ["caCertFile", "caCertFile", "CA_CERT", "/a", "/b", "/c", "caCertFile"],
  ["stallTimeout", "stallTimeout", "STALL_TIMEOUT", "1m", "2m", "3m", "stallTimeoutMs"],
  ["grace", "grace", "GRACE", "1m", "2m", "3m", "graceMs"],
] as const;

describe.each(keys)("%s", (yamlKey, flag, env, first, second, third, field) => {
  const yaml = `${yamlKey}: ${second}`;
  const environment = { [`BACKUPX_AGENT_${env}`]: third };
  const wanted = (text: string) => {
    const ms = parseDuration(text);
    return field.endsWith("Ms") ? ms : text;
  };
  const value = (parts: Parameters<typeof read>[0]) => {
    const got = read(parts).config[field];
    return got instanceof URL ? got.href : got;
  };

  test("flag over file over environment", () => {
    expect(value({ flags: { [flag]: first }, yaml, env: environment })).toBe(wanted(first));
    expect(value({ yaml, env: environment })).toBe(wanted(second));
    expect(value({ env: environment })).toBe(wanted(third));
  });
});

test("values mix: each key comes from the highest place that has it", () => {
  const { config } = read({
    flags: { pollInterval: "1s" },
    yaml: "master: https://file.test\npollInterval: 2s\n",
    env: { BACKUPX_AGENT_MASTER: "https://env.test", BACKUPX_AGENT_HEARTBEAT_INTERVAL: "7s" },
  });
  expect(config).toMatchObject({ pollIntervalMs: 1000, heartbeatIntervalMs: 7000 });
  expect(config.master?.host).toBe("file.test");
});

describe("a bad value names its key and where it came from", () => {
  test.each<[Parameters<typeof read>[0], RegExp]>([
    [
      { flags: { pollInterval: "5x" } },
      /^pollInterval: "5x" is not a duration such as 15s.* \(from flag --poll-interval\)$/,
    ],
    [{ env: { BACKUPX_AGENT_GRACE: "soon" } }, /^grace: "soon" .*\(from environment BACKUPX_AGENT_GRACE\)$/],
    [
      { yaml: "heartbeatInterval: 15" },
      /^heartbeatInterval: 15 is not a duration.*\(from file .*agent\.yaml\)$/,
    ],
    [{ yaml: "master: ftp://x" }, /^master: must be a URL that starts with https:\/\/ or http:\/\//],
    [{ flags: { master: "https://me:secretpw@x.test" } }, /^master: must not contain a user name/],
    [{ flags: { proxyUrl: "gopher://x" } }, /^proxyUrl: must be a URL .*socks5:\/\//],
    [
      { env: { BACKUPX_AGENT_INSECURE_TLS: "maybe" } },
      /^insecureSkipTlsVerify: "maybe" is neither true nor false/,
    ],
    [{ yaml: "tokenfile: /x" }, /unknown key "tokenfile"; did you mean tokenFile\?/],
    [{ yaml: "poll_interval: 5s" }, /unknown key "poll_interval"; did you mean pollInterval\?/],
    [{ yaml: "- a\n- b" }, /must be a list of `key: value` lines/],
    [{ yaml: "token: [sec-ret-value" }, /not valid YAML near line 1/],
    [{ flags: { caCertFile: "/ca.pem", insecureSkipTlsVerify: true } }, /contradict each other/],
    [{ yaml: "caCertFile: /ca.pem", env: { BACKUPX_AGENT_INSECURE_TLS: "1" } }, /contradict each other/],
    [
      { flags: { tokenFile: "/does/not/exist" } },
      /^tokenFile: \/does\/not\/exist: ENOENT \(from flag --token-file\)$/,
    ],
    [{ flags: { token: "sec ret" } }, /^token: is not a token.*\(from flag --token\)$/],
    [{ flags: { token: "abcdefgh", tokenFile: "/x" } }, /both set/],
  ])("%j", (parts, text) => {
    const message = problem(parts);
    expect(message).toMatch(text);
    expect(message).not.toMatch(/secretpw|sec-ret-value|sec ret/);
  });
});

describe("the token", () => {
  test("of a higher place wins, be it a value or a file", () => {
    const file = join(scratch(), "token");
    writeFileSync(file, "filetoken-1\n", { mode: 0o600 });
    expect(read({ flags: { tokenFile: file }, yaml: "token: yamltoken-1" }).config.token).toBe("filetoken-1");
    expect(
      read({ yaml: `tokenFile: ${file}`, env: { BACKUPX_AGENT_TOKEN: "envtoken-1" } }).config.token,
    ).toBe("filetoken-1");
    expect(
      read({ yaml: "token: yamltoken-1", env: { BACKUPX_AGENT_TOKEN_FILE: "/nope" } }).config.token,
    ).toBe("yamltoken-1");
  });

  test("in a file that others can read, or on the command line, is warned about", () => {
    const file = join(scratch(), "token");
    writeFileSync(file, "filetoken-1", { mode: 0o644 });
    expect(read({ flags: { tokenFile: file } }).config.warnings).toEqual([
      `${file} can be read by others: chmod 600 ${file}`,
    ]);
    expect(read({ flags: { token: "flagtoken-1" } }).config.warnings.join()).toMatch(/process list/);
  });
});

test("durations", () => {
  expect(["15s", "5m", "1h30m", "250ms", "1.5h", "2d"].map(parseDuration)).toEqual([
    15_000, 300_000, 5_400_000, 250, 5_400_000, 172_800_000,
  ]);
  expect(["", "5", "5 m", "-5s", "m", "5sm", "1e3s", "٥s"].map(parseDuration)).toEqual(Array(8).fill(null));
  expect([15_000, 300_000, 5_400_000, 90_000].map(formatDuration)).toEqual(["15s", "5m", "1h 30m", "1m 30s"]);
});

test("the program ends with 2 and one line, and never repeats a token", async () => {
  const token = "0123456789abcdef".repeat(4);
  const bad = await runAgentCommand(["run", "--token", token, "--master", "nonsense"]);
  expect(bad.code).toBe(2);
  expect(bad.stderr).toBe(
    "backupx-agent: master: must be a URL that starts with https:// or http:// (from flag --master)\n",
  );
  const none = await runAgentCommand(["run", "--token", token]);
  expect(none).toMatchObject({ code: 2, stderr: expect.stringMatching(/no master: set --master/) });
  const unknown = await runAgentCommand(["run", "--tokn", token]);
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toMatch(/unknown option '--tokn'/);
  expect(bad.stderr + none.stderr + unknown.stderr).not.toContain(token);
});

test("the state directory must be one that can be written", async () => {
  const folder = scratch();
  writeFileSync(join(folder, "file"), "");
  mkdirSync(join(folder, "empty"));
  const args = ["run", "--master", "http://127.0.0.1:9", "--state-dir", join(folder, "file", "state")];
  const { code, stderr } = await runAgentCommand(args, { env: { BACKUPX_AGENT_TOKEN: "0123456789" } });
  expect(code).toBe(2);
  expect(stderr).toMatch(/stateDir: cannot write to .*ENOTDIR; set --state-dir/);
});

describe("commands and hooks", () => {
  const yaml = `commands:
  ldap:
    run: [/usr/sbin/slapcat, -n, "1"]
    restore: [/usr/sbin/slapadd]
    verify: [/usr/local/bin/check-ldif, "-"]
    verifyTimeout: 2h
  usual: { run: [/bin/date], verify: [/bin/true] }
  plain: { run: [/bin/date] }
hooks:
  stop: { run: [/bin/systemctl, stop, app], timeout: 90s }
  start: { run: [/bin/systemctl, start, app] }`;

  test("are what the file says, as argument lists", () => {
    const { config } = read({ yaml });
    expect(config.commands).toEqual({
      ldap: {
        run: ["/usr/sbin/slapcat", "-n", "1"],
        restore: ["/usr/sbin/slapadd"],
        verify: { run: ["/usr/local/bin/check-ldif", "-"], timeoutMs: 7_200_000 },
      },
      usual: { run: ["/bin/date"], restore: null, verify: { run: ["/bin/true"], timeoutMs: 3_600_000 } },
      plain: { run: ["/bin/date"], restore: null, verify: null },
    });
    expect(config.hooks).toEqual({
      stop: { run: ["/bin/systemctl", "stop", "app"], timeoutMs: 90_000 },
      start: { run: ["/bin/systemctl", "start", "app"], timeoutMs: 300_000 },
    });
  });

  test("can be set by neither flags nor environment", () => {
    const flags = { commands: { x: { run: ["/bin/sh"] } } } as unknown as Flags;
    const env = { BACKUPX_AGENT_COMMANDS: '{"x":{"run":["/bin/sh"]}}', BACKUPX_AGENT_HOOKS: "x" };
    expect(read({ flags, env }).config).toMatchObject({ commands: {}, hooks: {} });
  });

  test.each([
    ["a shell line", "hooks: { x: { run: systemctl stop app } }", /hooks: .*x\.run/],
    ["a program without its path", "commands: { x: { run: [slapcat] } }", /x\.run.*absolute path/],
    ["no program", "commands: { x: { run: [] } }", /x\.run: must name a program/],
    [
      "a program to verify that has no path",
      "commands: { x: { run: [/a], verify: [b] } }",
      /x\.verify.*absolute/,
    ],
    ["a time to verify that is none", "commands: { x: { run: [/a], verifyTimeout: 1 } }", /x\.verifyTimeout/],
    ["a misspelt key", "hooks: { x: { run: [/bin/true], timout: 5m } }", /has no timout/],
    ["a time that is none", "hooks: { x: { run: [/bin/true], timeout: soon } }", /x\.timeout: .*duration/],
    ["a time without bound", "hooks: { x: { run: [/bin/true], timeout: 25h } }", /x\.timeout/],
    ["a name for no file", "hooks: { ../x: { run: [/bin/true] } }", /letters, digits/],
    ["a list", "commands: [/bin/true]", /commands/],
  ])("refuse %s", (_what, text, words) => {
    expect(problem({ yaml: text })).toMatch(words);
  });

  test("repeat no argument in an error: it may be a secret", () => {
    const text = "commands: { x: { run: [a-planted-secret, more] } }";
    expect(problem({ yaml: text })).not.toContain("planted");
  });
});
