/**
 * Several of a kind that do one thing at a time each: work goes to whoever has been idle for the shortest time, because the
 * processor's cache still has what it works with, else to whoever is free first.
 */
export class Pool<Member> {
  readonly #idle: Member[];
  readonly #make: () => Member;
  readonly #waiting: ((member: Member) => void)[] = [];
  #toMake: number;

  /** Takes those that are there before `make` is asked for more, of which there are to be `toMake` at most. */
  constructor(idle: Member[], toMake: number, make: () => Member) {
    this.#idle = idle;
    this.#toMake = toMake;
    this.#make = make;
  }

  async use<Result>(work: (member: Member) => Promise<Result>): Promise<Result> {
    const member = await this.#free();
    try {
      return await work(member);
    } finally {
      const next = this.#waiting.shift();
      if (next) next(member);
      else this.#idle.push(member);
    }
  }

  #free(): Member | Promise<Member> {
    const member = this.#idle.pop();
    if (member !== undefined) return member;
    if (this.#toMake === 0) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#toMake -= 1;
    return this.#make();
  }
}
