import { ProgramFailed } from "./program.ts";

/** A database's dump; when its program fails, the error names the database, with what `hint` knows of that failure. */
export async function* aboutDatabase(
  dump: AsyncIterable<Buffer>,
  database: string,
  hint: (message: string) => string = () => "",
): AsyncGenerator<Buffer> {
  try {
    yield* dump;
  } catch (error) {
    if (!(error instanceof ProgramFailed)) throw error;
    throw new Error(`database ${database}: ${error.message}${hint(error.message)}`, { cause: error });
  }
}
