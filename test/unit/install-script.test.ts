import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { installCommand } from "../../worker/install/one-liner.ts";
import { installScript } from "../../worker/install/script.ts";
import { describeWith, testWith } from "../needs.ts";

const CODE = "bx-TEST-CODE-0000-1111";
const MASTER = "https://master.test";

const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0).reverse()) cleanUp();
});

/** A machine of its own: empty places, and programs that write down how they were called. */
function aMachine(options: { nodeVersion?: string; systemd?: string; uid?: number; fails?: string } = {}) {
  const root = mkdtempSync(join(tmpdir(), "install script "));
  cleanUps.push(() => rmSync(root, { recursive: true, force: true }));
  const bin = join(root, "bin");
  const log = join(root, "log");
  const places = {
    program: join(root, "opt/agent"),
    config: join(root, "etc/agent"),
    state: join(root, "state"),
    unit: join(root, "agent.service"),
    systemdRuns: root,
  };
  mkdirSync(bin);
  const program = (name: string, body: string) => {
    writeFileSync(join(bin, name), `#!/bin/sh\nprintf '%s\\n' "${name} $*" >>'${log}'\n${body}\n`);
    chmodSync(join(bin, name), 0o755);
  };
  const agent = join(places.program, "lib/node_modules/backupx-agent/bin/backupx-agent.mjs");
  program("id", `echo ${options.uid ?? 0}`);
  program(
    "npm",
    `mkdir -p "$(dirname '${agent}')"; echo agent >'${agent}'; ${options.fails === "npm" ? "exit 1" : ""}`,
  );
  // Stands in for the agent: what enrol leaves behind, and what anybody could read in the process list meanwhile.
  program(
    "node",
    `if [ "$1" = -p ]; then echo ${options.nodeVersion ?? "22.19.0"}; exit; fi
     case " $* " in
       *" enroll "*)
         cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' >'${root}/seen'
         printf '%s' "$BACKUPX_AGENT_CODE" >'${root}/code'
         ${options.fails === "enroll" ? "exit 1" : ""}
         echo token >'${places.config}/token'; echo master: x >'${places.config}/agent.yaml' ;;
       *) printf '%s' "\${BACKUPX_AGENT_CODE-unset}" >'${root}/code-of-run' ;;
     esac`,
  );
  program(
    "systemctl",
    `case "$*" in --version) echo 'systemd ${options.systemd ?? "252 (252.1)"}' ;; esac
     ${options.fails === "systemctl" ? 'case "$*" in *is-active*) exit 3 ;; esac' : ""}`,
  );
  program("sleep", "");
  program("sudo", "");
  const script = join(root, "install.sh");
  writeFileSync(script, installScript(MASTER, places));
  const env = { PATH: `${bin}:${process.env.PATH}`, HOME: root };
  return {
    root,
    places,
    agent,
    script,
    env,
    run: (args: string[] = [], more: Record<string, string> = { BACKUPX_AGENT_CODE: CODE }) =>
      spawnSync("dash", [script, ...args], { env: { ...env, ...more }, encoding: "utf8" }),
    calls: () => (existsSync(log) ? readFileSync(log, "utf8").trim().split("\n") : []),
    read: (name: string) => readFileSync(join(root, name), "utf8"),
  };
}

describe("the install script", () => {
  it.each(["dash", "bash"])("is understood by %s", (shell) => {
    const checked = spawnSync(shell, ["-n"], { input: installScript(MASTER), encoding: "utf8" });
    expect(checked).toMatchObject({ status: 0, stderr: "" });
  });

  it("installs, enrols and starts the service; only root can read what it wrote", () => {
    const machine = aMachine();
    const ran = machine.run();
    expect(ran).toMatchObject({ status: 0, stderr: "" });
    const calls = machine.calls().filter((call) => !/^(id|sleep) |--version| -p /.test(call));
    const { program, config, unit } = machine.places;
    expect(calls).toEqual([
      `npm install --global --prefix ${program} --no-audit --no-fund --no-update-notifier --loglevel=error ${MASTER}/backupx-agent.tgz`,
      `node ${machine.agent} enroll --master ${MASTER} --config ${config}/agent.yaml --force`,
      "systemctl daemon-reload",
      "systemctl enable backupx-agent.service",
      "systemctl restart backupx-agent.service",
      "systemctl is-active --quiet backupx-agent.service",
    ]);
    for (const file of ["token", "agent.yaml"]) {
      expect(statSync(join(config, file)).mode & 0o777).toBe(0o600);
    }
    expect(statSync(config).mode & 0o777).toBe(0o700);
    expect(statSync(unit).mode & 0o777).toBe(0o644);
  });

  it("passes the code by environment: no process list shows it, no unit holds it", () => {
    const machine = aMachine();
    expect(machine.run().status).toBe(0);
    expect(machine.read("code")).toBe(CODE);
    expect(machine.read("seen")).toContain("enroll");
    expect(machine.read("seen")).not.toContain(CODE);
    expect(machine.calls().join("\n")).not.toContain(CODE);
    expect(readFileSync(machine.places.unit, "utf8")).not.toContain(CODE);
  });

  it("does nothing at all when it was cut off, wherever that was", () => {
    const machine = aMachine();
    const whole = readFileSync(machine.script, "utf8");
    const end = whole.lastIndexOf('exit "$?"; }') + 'exit "$?"; }'.length;
    const cuts = [
      ...Array.from({ length: 40 }, (_, i) => Math.floor((i * end) / 40)),
      ...Array.from({ length: 60 }, (_, i) => end - 1 - i),
    ];
    for (const cut of cuts) {
      writeFileSync(machine.script, whole.slice(0, cut));
      machine.run(["--uninstall"]);
      expect(machine.calls(), `cut at ${cut}: ${JSON.stringify(whole.slice(cut - 40, cut))}`).toEqual([]);
    }
  }, 60_000);

  it.each([
    ["20.11.1", false],
    ["22.18.9", false],
    ["22.19.0", true],
    ["24.1.0", true],
    ["garbage", false],
  ])("with Node %s goes on: %s; else it says how to bring one", (nodeVersion, goesOn) => {
    const machine = aMachine({ nodeVersion });
    const ran = machine.run();
    expect(ran.status === 0).toBe(goesOn);
    if (goesOn) return;
    expect(ran.stderr).toContain("npx -y -p node@24");
    expect(machine.calls().some((call) => call.startsWith("npm"))).toBe(false);
  });

  it("hardens the service, hands it the token as a credential, and lets it restore anywhere", () => {
    const machine = aMachine();
    machine.run();
    const unit = readFileSync(machine.places.unit, "utf8");
    for (const line of [
      "Type=exec",
      "Restart=always",
      "Nice=10",
      "IOSchedulingClass=idle",
      "KillMode=mixed",
      "TimeoutStopSec=90",
      "StateDirectory=backupx-agent",
      "NoNewPrivileges=yes",
      `LoadCredential=token:${machine.places.config}/token`,
    ]) {
      expect(unit.split("\n")).toContain(line);
    }
    expect(unit).toContain(
      `"${machine.agent}" run --config "${machine.places.config}/agent.yaml" --token-file "\${CREDENTIALS_DIRECTORY}/token"`,
    );
    expect(unit).not.toMatch(/^(ProtectSystem|PrivateTmp|ProtectHome|RestrictSUIDSGID)=/m);
  });

  testWith(["systemd-analyze"], "writes units that systemd accepts", () => {
    for (const writable of ["", "/srv /var/tmp"]) {
      const machine = aMachine();
      machine.run([], { BACKUPX_AGENT_CODE: CODE, BACKUPX_AGENT_WRITABLE: writable });
      const verified = spawnSync("systemd-analyze", ["verify", machine.places.unit], { encoding: "utf8" });
      expect(verified).toMatchObject({ status: 0, stderr: "" });
    }
  });

  it("restricts writing to the paths it was given, and does without credentials on an old systemd", () => {
    const machine = aMachine({ systemd: "241 (241)" });
    machine.run([], { BACKUPX_AGENT_CODE: CODE, BACKUPX_AGENT_WRITABLE: "/srv /backup" });
    const unit = readFileSync(machine.places.unit, "utf8");
    expect(unit).toMatch(/^ProtectSystem=strict\nReadWritePaths=\/srv \/backup$/m);
    expect(unit).not.toContain("CREDENTIAL");
    expect(unit).not.toContain("LoadCredential");
  });

  it("updates an enrolled agent without a code, keeps its token, and keeps what it replaces", () => {
    const machine = aMachine();
    machine.run();
    expect(machine.run([], {}).status).toBe(0);
    expect(machine.calls().filter((call) => call.includes("enroll"))).toHaveLength(1);
    expect(machine.run().status).toBe(0);
    expect(existsSync(join(machine.places.config, "agent.yaml.before"))).toBe(true);
  });

  it.each([
    ["there is no code", {}, "no enrolment code", {}],
    ["npm fails", { fails: "npm" }, "npm could not install", undefined],
    ["the code is refused", { fails: "enroll" }, "enrolment failed", undefined],
    ["the agent stops at once", { fails: "systemctl" }, "has stopped", undefined],
  ])("says so and fails when %s", (_what, options, words, more) => {
    const machine = aMachine(options);
    const ran = machine.run([], more);
    expect(ran.status).toBe(1);
    expect(ran.stderr).toContain(words);
    if (words !== "has stopped") expect(existsSync(machine.places.unit)).toBe(false);
  });

  it("asks sudo for root with names of variables only", () => {
    const machine = aMachine({ uid: 1000 });
    machine.run();
    const calls = machine.calls();
    expect(calls.at(-1)).toMatch(/^sudo --preserve-env=BACKUPX_AGENT_CODE,\S+ sh .*install\.sh/);
    expect(calls.join("\n")).not.toContain(CODE);
    expect(calls.some((call) => call.startsWith("npm"))).toBe(false);
  });

  it("runs in the foreground without root and systemd, below the home directory", () => {
    const machine = aMachine({ uid: 1000 });
    const home = join(machine.root, ".local/share/backupx-agent/lib/node_modules/backupx-agent/bin");
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, "backupx-agent.mjs"), "");
    mkdirSync(machine.places.config, { recursive: true });
    const config = join(machine.root, ".config/backupx-agent");
    mkdirSync(config, { recursive: true });
    writeFileSync(join(config, "token"), "t");
    writeFileSync(join(config, "agent.yaml"), "y");
    const ran = machine.run(["--foreground"]);
    expect(ran.status).toBe(0);
    expect(machine.calls().at(-1)).toBe(`node ${home}/backupx-agent.mjs run --config ${config}/agent.yaml`);
    expect(machine.read("code-of-run")).toBe("unset");
    expect(machine.calls().some((call) => /^(systemctl|sudo)/.test(call))).toBe(false);
  });

  it("uninstalls what it installed, and refuses options that it does not know", () => {
    const machine = aMachine();
    machine.run();
    expect(machine.run(["--unistall"])).toMatchObject({ status: 1 });
    expect(existsSync(machine.places.unit)).toBe(true);
    expect(machine.run(["--uninstall"]).status).toBe(0);
    for (const place of [machine.places.program, machine.places.config, machine.places.unit]) {
      expect(existsSync(place)).toBe(false);
    }
  });

  it("quotes the master's address", () => {
    const evil = "https://x/'; touch /tmp/never; '$(id)";
    const shown = spawnSync("dash", ["-s", "--", "--help"], { input: installScript(evil), encoding: "utf8" });
    expect(shown.stdout).toContain(`from ${evil},`);
  });
});

describeWith(["curl", "dash"], "the command that a person pastes", () => {
  type MasterAnswer = { body: string; status?: number; headers?: Record<string, string> };
  const paste = async (answer: MasterAnswer | null) => {
    const machine = aMachine();
    const { body, status = 200, headers } = answer ?? { body: readFileSync(machine.script, "utf8") };
    const server = createServer((_request, response) => {
      response.writeHead(status, headers).end(body);
    });
    const origin = await listen(server);
    const shell = await runAside("dash", ["-c", installCommand(origin, CODE)], machine.env);
    return { machine, ...shell };
  };

  it("runs the installer, with the code in its environment only", async () => {
    const { machine, status } = await paste(null);
    expect(status).toBe(0);
    expect(machine.calls().some((call) => call.includes("enroll"))).toBe(true);
    expect(machine.read("code")).toBe(CODE);
  });

  it.each([
    ["an HTML page", { body: "<!doctype html>\n<html><body>Sign in</body></html>\n" }],
    ["a redirect", { body: "<html>moved</html>", status: 302, headers: { Location: "/elsewhere" } }],
    ["an error", { body: `#!/bin/sh\n# backupx-agent installer\n`, status: 500 }],
    ["another script", { body: "#!/bin/sh\nid\nnpm install something\n" }],
    ["half of the installer", { body: installScript(MASTER).slice(0, 4000) }],
    ["nothing", { body: "" }],
  ])("runs nothing when the master sends %s", async (_what, answer) => {
    const { machine, status, stderr } = await paste(answer);
    expect(status).not.toBe(0);
    expect(machine.calls()).toEqual([]);
    expect(stderr).not.toBe("");
  });
});

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUps.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Not spawnSync: the server that it asks lives in this process. */
async function runAside(command: string, args: string[], env: Record<string, string>) {
  const { spawn } = await import("node:child_process");
  const child = spawn(command, args, { env });
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  child.stdout.resume();
  const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { status, stderr };
}
