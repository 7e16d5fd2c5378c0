const prefix = "the backup is damaged: ";

/** The artifact is not what was stored: cut off, altered, or not of the format it claims to be. Trying again is useless. */
export class DamagedArtifact extends Error {
  constructor(reason: string, options?: { cause?: unknown }) {
    super(`${prefix}${reason}`, options);
    this.name = "DamagedArtifact";
  }

  /** The same error, of which another thread or process has told the message. */
  static again(message: string): DamagedArtifact {
    return new DamagedArtifact(message.startsWith(prefix) ? message.slice(prefix.length) : message);
  }
}
