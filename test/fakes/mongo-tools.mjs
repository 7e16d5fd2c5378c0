// Stands in for mongodump, mongorestore and mongosh, which can be had neither from Debian nor from npm: their options,
// exit codes, words and archive format. The server is a JSON file, named by FAKE_MONGO: accounts, databases of
// collections of documents {_id, text}, and a fault. Options that the real programs do not have are errors here, too.
import { readFileSync, writeFileSync } from "node:fs";

const [program, ...args] = process.argv.slice(2);
const stateFile = process.env.FAKE_MONGO;
const state = () => JSON.parse(readFileSync(stateFile, "utf8"));
const save = (next) => writeFileSync(stateFile, JSON.stringify(next));

if (args[0] === "--version") {
  console.log(program === "mongosh" ? "2.3.1" : `${program} version: 100.10.0\ngit version: 0`);
  process.exit(0);
}

const fail = (message, code = 1) => {
  process.stderr.write(`2026-01-01T00:00:00.000+0000\tFailed: ${message}\n`);
  process.exit(code);
};

const flags = {
  mongodump: { config: 1, archive: 0, db: 1, oplog: 0 },
  mongorestore: {
    config: 1,
    archive: 0,
    stopOnError: 0,
    drop: 0,
    oplogReplay: 0,
    nsInclude: 1,
    nsFrom: 1,
    nsTo: 1,
  },
};

function parse() {
  const found = {};
  for (const arg of args) {
    const [, name, value] = /^--(\w+)(?:=(.*))?$/s.exec(arg) ?? [];
    const takes = flags[program][name];
    if (takes === undefined || (takes === 1) !== (value !== undefined)) {
      process.stderr.write(`error parsing command line options: unknown option "${arg}"\n`);
      process.exit(1);
    }
    found[name] = [...(found[name] ?? []), value ?? true];
  }
  return found;
}

function connect(address) {
  const { username, password, searchParams } = new URL(address);
  const server = state();
  const [user, secret] = [decodeURIComponent(username), decodeURIComponent(password)];
  if (user !== server.user || secret !== server.password || searchParams.get("authSource") !== "admin") {
    fail(
      `can't create session: could not connect to server: ${address}: auth error: sasl conversation error: Authentication failed.`,
    );
  }
  return server;
}

const fromConfig = (file) => connect(JSON.parse(/^uri: (.*)$/m.exec(readFileSync(file, "utf8"))[1]));

/** BSON of an object of strings, booleans and whole numbers. */
function bson(object) {
  const parts = Object.entries(object).map(([key, value]) => {
    const name = Buffer.from(`${key}\0`);
    if (typeof value === "boolean")
      return Buffer.concat([Buffer.from([8]), name, Buffer.from([value ? 1 : 0])]);
    if (typeof value === "number") {
      const number = Buffer.alloc(4);
      number.writeInt32LE(value);
      return Buffer.concat([Buffer.from([16]), name, number]);
    }
    const text = Buffer.from(`${value}\0`);
    const length = Buffer.alloc(4);
    length.writeInt32LE(text.length);
    return Buffer.concat([Buffer.from([2]), name, length, text]);
  });
  const body = Buffer.concat([...parts, Buffer.from([0])]);
  const length = Buffer.alloc(4);
  length.writeInt32LE(body.length + 4);
  return Buffer.concat([length, body]);
}

function fromBson(bytes) {
  const object = {};
  for (let at = 4; bytes[at] !== 0; ) {
    const type = bytes[at];
    const end = bytes.indexOf(0, at + 1);
    const key = bytes.toString("utf8", at + 1, end);
    at = end + 1;
    if (type === 8) object[key] = bytes[at++] === 1;
    else if (type === 16) {
      object[key] = bytes.readInt32LE(at);
      at += 4;
    } else {
      const length = bytes.readInt32LE(at);
      object[key] = bytes.toString("utf8", at + 4, at + 3 + length);
      at += 4 + length;
    }
  }
  return object;
}

const magic = Buffer.from([0x6d, 0xe2, 0x99, 0x81]);
const terminator = Buffer.from([0xff, 0xff, 0xff, 0xff]);

function archiveOf(databases) {
  const collections = Object.entries(databases).flatMap(([db, all]) =>
    Object.entries(all).map(([collection, documents]) => ({ db, collection, documents })),
  );
  return Buffer.concat([
    magic,
    bson({ concurrent_collections: 4, version: "0.1", server_version: "7.0.0", tool_version: "100.10.0" }),
    ...collections.map(({ db, collection }) =>
      bson({ db, collection, metadata: "{}", size: 0, type: "collection" }),
    ),
    terminator,
    ...collections.flatMap(({ db, collection, documents }) => [
      bson({ db, collection, EOF: false, CRC: 0 }),
      ...documents.map(bson),
      terminator,
      bson({ db, collection, EOF: true, CRC: 1 }),
      terminator,
    ]),
  ]);
}

async function dump() {
  const options = parse();
  const server = fromConfig(options.config[0]);
  const [only] = options.db ?? [];
  const databases = only === undefined ? server.databases : { [only]: server.databases[only] ?? {} };
  if (options.oplog && server.oplog !== true) fail("error getting oplog start: not a replica set");
  const archive = archiveOf(databases);
  const whole = server.fault === undefined;
  await new Promise((done) =>
    process.stdout.write(whole ? archive : archive.subarray(0, archive.length - 100), done),
  );
  if (server.fault === "die")
    fail(`error writing data for collection: connection to ${readFileSync(options.config[0])} lost`);
  if (server.fault === "kill") process.kill(process.pid, "SIGKILL");
  if (server.fault === "hang") setInterval(() => {}, 1000);
}

function renamed(namespace, { nsFrom = [], nsTo = [] }) {
  for (const [index, from] of nsFrom.entries()) {
    const prefix = from.slice(0, -1).replace(/\\(.)/g, "$1");
    if (namespace.startsWith(prefix))
      return nsTo[index].slice(0, -1).replace(/\\(.)/g, "$1") + namespace.slice(prefix.length);
  }
  return namespace;
}

async function restore() {
  const options = parse();
  const server = fromConfig(options.config[0]);
  const pieces = [];
  for await (const piece of process.stdin) pieces.push(piece);
  const archive = Buffer.concat(pieces);
  if (!archive.subarray(0, 4).equals(magic)) fail("stream or file does not appear to be a mongodump archive");
  const included = (namespace) =>
    !options.nsInclude ||
    options.nsInclude.some((p) => namespace.startsWith(p.slice(0, -1).replace(/\\(.)/g, "$1")));
  const dropped = new Set();
  let header = null;
  let inPrelude = true;
  for (let at = 4; at < archive.length; ) {
    const length = archive.readInt32LE(at);
    if (length === -1) {
      at += 4;
      header = null;
      inPrelude = false;
      continue;
    }
    const document = fromBson(archive.subarray(at, at + length));
    at += length;
    if (inPrelude) continue;
    if (header === null) {
      header = document;
      continue;
    }
    const original = `${header.db}.${header.collection}`;
    if (!included(original)) continue;
    const [, db, collection] = /^(.*?)\.(.*)$/s.exec(renamed(original, options));
    if (options.drop && !dropped.has(`${db}.${collection}`)) {
      dropped.add(`${db}.${collection}`);
      if (server.databases[db]) delete server.databases[db][collection];
    }
    server.databases[db] ??= {};
    server.databases[db][collection] ??= [];
    const there = server.databases[db][collection];
    const bad = server.refuses === document._id;
    if (bad || there.some(({ _id }) => _id === document._id)) {
      save(server);
      const problem = bad ? "Document failed validation" : "E11000 duplicate key error";
      if (options.stopOnError) fail(`${db}.${collection}: error restoring from archive on stdin: ${problem}`);
      continue;
    }
    there.push(document);
  }
  save(server);
}

function shell() {
  const file = args.at(-1);
  if (args.slice(0, -1).join(" ") !== "--quiet --norc --nodb") fail("unknown arguments");
  class Mongo {
    constructor(address) {
      connect(address);
    }
    getDB(name) {
      return {
        adminCommand: () => ({
          databases: Object.keys(state().databases).map((one) => ({ name: one, sizeOnDisk: 8192 })),
        }),
        dropDatabase() {
          const server = state();
          delete server.databases[name];
          save(server);
        },
      };
    }
  }
  new Function("Mongo", "print", readFileSync(file, "utf8"))(Mongo, console.log);
}

await { mongodump: dump, mongorestore: restore, mongosh: shell }[program]();
