import { artifactExtension } from "../pipeline/backup.ts";
import type { TaskSpec } from "./job.ts";

/** What the artifact of a run is called, and its key in every target: the master gives the beginning, its content the end. */
export function artifactKey({ fileNameStem, objectPrefix, source, pipeline }: TaskSpec) {
  const { compression, encryption } = pipeline;
  const fileName = `${fileNameStem}${artifactExtension(source, compression, encryption !== null)}`;
  return { fileName, key: `${objectPrefix}${fileName}` };
}
