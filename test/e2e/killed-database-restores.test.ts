import { mkdirSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { z } from "zod";
import { adminApi } from "../../protocol/index.ts";
import { type DatabaseServer, startMariadb, startPostgres } from "../fakes/database-servers.ts";
import { describeWith } from "../needs.ts";
import { childrenOf, signalAll } from "../processes.ts";
import { startConfigured } from "./configured-agent.ts";
import type { Machine, RunningAgent } from "./machine.ts";
import { TEST_MS, until } from "./until.ts";
import { startWorld, type World } from "./world.ts";

type Kind = {
  name: string;
  type: "postgresql" | "mysql";
  needs: string[];
  start(): Promise<DatabaseServer>;
  /** Makes a database `shop` of some 5 MB. */
  fill: string;
  databases: string;
};

const kinds: Kind[] = [
  {
    name: "PostgreSQL",
    type: "postgresql",
    needs: ["pg_ctlcluster"],
    start: startPostgres,
    fill: `create database shop;
\\c shop
create table t as select i, repeat(md5(i::text), 8) w from generate_series(1, 20000) i;`,
    databases: "select datname from pg_database order by 1;",
  },
  {
    name: "MariaDB",
    type: "mysql",
    needs: ["mariadbd", "mariadb-dump"],
    start: startMariadb,
    fill: "create database shop; use shop; create table t engine=innodb as select seq, repeat(md5(seq), 8) w from seq_1_to_20000;",
    databases: "show databases;",
  },
];

for (const { name, type, needs, start, fill, databases } of kinds) {
  describeWith([...needs, "setpriv", "openssl"], `a restore into ${name} that is killed`, () => {
    let world: World;
    let server: DatabaseServer;
    let machine: Machine;
    let agent: RunningAgent;
    let recordId: number;
    const ends: (() => Promise<void>)[] = [];
    const there = () => server.sql(databases).split("\n");

    beforeAll(async () => {
      server = await start();
      server.sql(fill);
      world = await startWorld();
      machine = await world.machine((end) => ends.push(end));
      agent = await startConfigured(world, machine, {});
      const disk = path.join(machine.folder, "disk");
      mkdirSync(disk);
      const taskId = await world.task(machine, {
        source: { type, host: "127.0.0.1", port: server.port, user: server.user, databases: ["shop"] },
        secrets: { password: server.password },
        targetIds: [await world.target("local_disk", { path: disk })],
        pipeline: { compression: "none" },
      });
      ({ recordId } = await world.run(taskId));
      expect(await world.endOf(recordId)).toMatchObject({ status: "success" });
      // A restore takes some seconds with this, in which something can be done to it.
      await world.call(adminApi.updateNode, {
        params: { id: machine.nodeId },
        body: { bandwidthBytesPerSecond: 1_500_000 },
      });
    }, TEST_MS);
    afterAll(async () => {
      for (const end of ends) await end();
      await world?.close();
      await server?.close();
    });

    /** A restore of `shop` as `copy` that has begun to load. */
    async function loading(conflict: z.input<typeof adminApi.restoreRecord.body>["conflict"] = "fail") {
      const before = there();
      const { restoreId } = await world.call(adminApi.restoreRecord, {
        params: { id: recordId },
        body: { conflict, options: { renameDatabases: { shop: "copy" } } },
      });
      const ended = () => world.endOfRestore(restoreId);
      await until("a database that is being loaded", () => there().length > before.length, { seen: there });
      const log = async () =>
        (await world.call(adminApi.restoreLog, { params: { id: restoreId } })).lines
          .map(({ text }) => text)
          .join("");
      return { before, ended, log };
    }
    async function losePower() {
      const children = childrenOf(agent.pid);
      signalAll(children, "SIGSTOP");
      await agent.end("SIGKILL");
      signalAll(children, "SIGKILL");
    }
    const nothingInHand = () => until("nothing in hand", () => machine.leftovers().length === 0);

    test(
      "alone: the agent removes the half database",
      async () => {
        const { before, ended, log } = await loading();
        signalAll(childrenOf(agent.pid), "SIGKILL");
        expect(await ended()).toMatchObject({ errorMessage: expect.stringContaining("SIGKILL") });
        expect(there()).toEqual(before);
        expect(await log()).toMatch(/warn: the half restored database \S+ was removed/);
      },
      TEST_MS,
    );

    test(
      "with its machine: the agent removes the half database when it is back, and the next restore is whole",
      async () => {
        const { before, ended, log } = await loading();
        await losePower();
        expect(there()).not.toEqual(before);
        agent = machine.start();
        expect(await ended()).toMatchObject({ errorMessage: expect.stringContaining("interrupted") });
        expect(there()).toEqual(before);
        expect(await log()).toMatch(/warn: the half restored database \S+ was removed/);
        await nothingInHand();
        const again = await loading();
        expect(await again.ended()).toMatchObject({ status: "success" });
        const rows = type === "mysql" ? "select count(*) from copy.t" : "select count(*) from t";
        expect(server.sql(rows, "copy")).toBe("20000");
        if (type === "mysql") expect(server.sql("show tables in copy")).toBe("t");
        server.sql("drop database copy");
        expect(there()).toEqual(before);
      },
      TEST_MS,
    );

    test(
      "with its machine: a database that somebody has made meanwhile stays",
      async () => {
        const { ended } = await loading();
        await losePower();
        server.sql(`${type === "mysql" ? "drop database copy; " : ""}create database copy`);
        server.sql("create table mine (i int)", "copy");
        agent = machine.start();
        await ended();
        await nothingInHand();
        expect(server.sql("select count(*) from mine", "copy")).toBe("0");
        server.sql("drop database copy");
      },
      TEST_MS,
    );
  });
}
