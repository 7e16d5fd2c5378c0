/** The artifact is not what was stored: cut off, altered, or not of the format it claims to be. Trying again is useless. */
export class DamagedArtifact extends Error {
  constructor(reason: string, options?: { cause?: unknown }) {
    super(`the backup is damaged: ${reason}`, options);
    this.name = "DamagedArtifact";
  }
}
