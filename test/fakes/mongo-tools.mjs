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

/** BSON of an object of strings, booleans, whole numbers (of 32 bits) and bigints (of 64). */
function bson(object) {
  const parts = Object.entries(object).map(([key, value]) => {
    const name = Buffer.from(`${key}\0`);
    if (typeof value === "boolean")
      return Buffer.concat([Buffer.from([8]), name, Buffer.from([value ? 1 : 0])]);
    if (typeof value === "bigint") {
      const number = Buffer.alloc(8);
      number.writeBigInt64LE(BigInt.asIntN(64, value));
      return Buffer.concat([Buffer.from([18]), name, number]);
    }
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
    } else if (type === 18) {
      object[key] = bytes.readBigInt64LE(at);
      at += 8;
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

/** CRC-64 of ECMA-182, reflected, bit by bit: slow, and of another make than the one that is tested with it. */
function crc64(chunks) {
  let crc = 0xffffffffffffffffn;
  for (const chunk of chunks) {
    for (const byte of chunk) {
      crc ^= BigInt(byte);
      for (let bit = 0; bit < 8; bit += 1) crc = crc & 1n ? (crc >> 1n) ^ 0xc96c5795d7870f42n : crc >> 1n;
    }
  }
  return crc ^ 0xffffffffffffffffn;
}

/** How many documents of a collection are written in one go while there are others to write. */
const documentsInTurn = 1000;

/**
 * Writes as mongodump's multiplexer does: who writes other documents than those before closes their segment first, and
 * a collection is ended by a segment without documents. What is empty is begun and ended all the same.
 */
function archiveOf(collections) {
  const parts = [
    magic,
    bson({ concurrent_collections: 4, version: "0.1", server_version: "7.0.0", tool_version: "100.10.0" }),
    ...collections.map(({ db, collection, type }) => {
      const metadata = type === "" ? "" : JSON.stringify({ indexes: [], collectionName: collection, type });
      return bson({ db, collection, metadata, size: 0, type });
    }),
    terminator,
  ];
  let current = null;
  const close = () => {
    if (current) parts.push(terminator);
    current = null;
  };
  const waiting = collections.map(({ db, collection, type, documents }) => ({
    header: { db, collection: type === "timeseries" ? `system.buckets.${collection}` : collection },
    documents: documents.map(bson),
    written: 0,
  }));
  while (waiting.length > 0) {
    const one = waiting.shift();
    if (current !== one) {
      close();
      parts.push(bson({ ...one.header, EOF: false, CRC: 0n }));
      current = one;
    }
    parts.push(...one.documents.slice(one.written, one.written + documentsInTurn));
    one.written += documentsInTurn;
    if (one.written < one.documents.length) waiting.push(one);
    else {
      close();
      parts.push(bson({ ...one.header, EOF: true, CRC: crc64(one.documents) }), terminator);
    }
  }
  return Buffer.concat(parts);
}

function collectionsOf(databases, types) {
  return Object.entries(databases).flatMap(([db, all]) =>
    Object.entries(all).map(([collection, documents]) => {
      const type = types?.[`${db}.${collection}`] ?? "collection";
      // The documents of a view are not its own.
      return { db, collection, type, documents: type === "view" ? [] : documents };
    }),
  );
}

async function dump() {
  const options = parse();
  const server = fromConfig(options.config[0]);
  const [only] = options.db ?? [];
  const databases = only === undefined ? server.databases : { [only]: server.databases[only] ?? {} };
  if (options.oplog && server.oplog !== true) fail("error getting oplog start: not a replica set");
  const oplog = { db: "", collection: "oplog", type: "", documents: [{ op: "n", ns: "" }] };
  const archive = archiveOf([...collectionsOf(databases, server.types), ...(options.oplog ? [oplog] : [])]);
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
  const written = new Map();
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
    const bytes = archive.subarray(at, at + length);
    const document = fromBson(bytes);
    at += length;
    if (inPrelude) continue;
    if (header === null) {
      header = document;
      const namespace = `${header.db}.${header.collection}`;
      if (!written.has(namespace)) written.set(namespace, []);
      const crc = header.EOF ? BigInt.asIntN(64, crc64(written.get(namespace))) : header.CRC;
      if (crc !== header.CRC) fail(`CRC mismatch for namespace ${namespace}, ${crc}!=${header.CRC}`);
      continue;
    }
    const original = `${header.db}.${header.collection}`;
    written.get(original).push(bytes);
    // The oplog is of no database, and replayed only when that is asked for.
    if (header.db === "" || !included(original)) continue;
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
  // As a machine that loses its power ends whoever has started this, too.
  if (server.fault === "kill parent") process.kill(process.ppid, "SIGKILL");
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
        createCollection(collection) {
          const server = state();
          server.databases[name] ??= {};
          server.databases[name][collection] = [];
          save(server);
        },
        getCollectionNames() {
          const server = state();
          if (server.closed === name) throw new Error(`not authorized on ${name} to execute listCollections`);
          return Object.keys(server.databases[name] ?? {});
        },
        getCollection: (collection) => ({
          drop() {
            const server = state();
            delete server.databases[name][collection];
            save(server);
          },
        }),
      };
    }
  }
  new Function("Mongo", "print", readFileSync(file, "utf8"))(Mongo, console.log);
}

await { mongodump: dump, mongorestore: restore, mongosh: shell }[program]();
