/**
 * Why restic cannot leave out what an exclude pattern means here, in words; null when it can. The agent's own patterns
 * know more than restic's do, and one that would be taken for something else could leave out too much.
 */
export function whyResticCannotExclude(pattern: string): string | null {
  if (/.\/+$/.test(pattern)) return "it cannot tell directories from files: leave out the slash at the end";
  if (/[@?*+!]\(/.test(pattern)) return "it knows no groups such as @(a|b): write a pattern for each";
  if (/\[\[:/.test(pattern)) return "it knows no classes such as [[:digit:]]: write [0-9]";
  if (/\{[^{}]*\.\.[^{}]*\}/.test(pattern)) return "it knows no ranges such as {1..9}: write [1-9]";
  return null;
}
