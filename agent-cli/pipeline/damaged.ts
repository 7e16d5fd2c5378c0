const prefix = "the backup is damaged: ";

/** The artifact is not what was stored: cut off, altered, or not of the format it claims to be. Trying again is useless. */
export class DamagedArtifact extends Error {
  constructor(reason: string, options?: { cause?: unknown }) {
    super(`${prefix}${reason}`, options);
    this.name = "DamagedArtifact";
  }

  /** The same error, of which another thread or process has told the message. */
  static again(message: string): DamagedArtifact {
    return new DamagedArtifact(reasonIn(message));
  }

  /** Tells, of anything that was damage in `part` of a backup, which part that was. */
  static in(part: string, error: unknown): unknown {
    if (!(error instanceof DamagedArtifact)) return error;
    return new DamagedArtifact(`${part}: ${reasonIn(error.message)}`, { cause: error });
  }
}

/** A newer agent has made it than this one, which says nothing against it. */
export class NewerFormat extends Error {
  constructor(what: string) {
    super(`this backup was made by a newer agent: ${what}; update this one`);
    this.name = "NewerFormat";
  }
}

const reasonIn = (message: string): string =>
  message.startsWith(prefix) ? message.slice(prefix.length) : message;
