type Waiting = { chunk: Uint8Array; onTaken: (() => void) | undefined };

/**
 * Bytes on their way from one writer to one reader, with a bound on how many may wait.
 * The reader's iteration throws what the writer gives to `fail`, so that a reader never mistakes a break for an end.
 */
export class Channel implements AsyncIterable<Uint8Array> {
  readonly #maxWaitingBytes: number;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #state: "open" | "ended" | "failed" | "abandoned" = "open";
  #error: unknown;
  #wakeWriter: (() => void) | null = null;
  #wakeReader: (() => void) | null = null;

  constructor(maxWaitingBytes: number) {
    this.#maxWaitingBytes = maxWaitingBytes;
  }

  /**
   * Resolves when there is room for more. Bytes for a reader that is gone are dropped. `onTaken` is called when the reader
   * asks for what comes next, and never when either end breaks before.
   */
  async send(chunk: Uint8Array, onTaken?: () => void): Promise<void> {
    if (this.#state !== "open") return;
    this.#waiting.push({ chunk, onTaken });
    this.#waitingBytes += chunk.length;
    this.#wake();
    while (this.#state === "open" && this.#waitingBytes > this.#maxWaitingBytes) {
      await new Promise<void>((resolve) => {
        this.#wakeWriter = resolve;
      });
    }
  }

  end(): void {
    if (this.#state === "open") this.#state = "ended";
    this.#wake();
  }

  /** Breaks the stream at once: what still waits is not delivered. */
  fail(error: unknown): void {
    if (this.#state === "abandoned") return;
    this.#state = "failed";
    this.#error = error;
    this.#drop();
  }

  /** The reader is gone; from now on the writer is never held up. */
  abandon(): void {
    if (this.#state !== "failed") this.#state = "abandoned";
    this.#drop();
  }

  /** Whether everything including the end was read. */
  get delivered(): boolean {
    return this.#state === "ended" && this.#waiting.length === 0;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const next = this.#state === "failed" ? undefined : this.#waiting.shift();
      if (next) {
        this.#waitingBytes -= next.chunk.length;
        this.#wake();
        yield next.chunk;
        next.onTaken?.();
      } else if (this.#state === "failed") throw this.#error;
      else if (this.#state !== "open") return;
      else {
        await new Promise<void>((resolve) => {
          this.#wakeReader = resolve;
        });
      }
    }
  }

  #drop(): void {
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#wake();
  }

  #wake(): void {
    this.#wakeWriter?.();
    this.#wakeReader?.();
    this.#wakeWriter = null;
    this.#wakeReader = null;
  }
}
