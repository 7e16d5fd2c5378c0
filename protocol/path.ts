type ParamNames<P extends string> = P extends `${string}:${infer Name}/${infer Rest}`
  ? Name | ParamNames<Rest>
  : P extends `${string}:${infer Name}`
    ? Name
    : never;

/** The named parts of a path, e.g. `{id: …}` for `/nodes/:id`. */
export type Params<P extends string> = { [Name in ParamNames<P>]: string | number };

/** The path with its named parts filled in and escaped. */
export const fillPath = <P extends `/${string}`>(path: P, params: Params<P>): string =>
  path.replace(/:(\w+)/g, (_, name: keyof Params<P>) => encodeURIComponent(String(params[name])));

/** The same as the master's handlers get them: ids are numbers, an upload's id is text. */
export type ParsedParams<P extends string> = {
  [Name in ParamNames<P>]: Name extends "uploadId" ? string : number;
};
