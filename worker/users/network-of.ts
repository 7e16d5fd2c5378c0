/**
 * Whom an address stands for when attempts are counted: itself, or the first 64 bits of an IPv6 address, since one
 * customer commonly owns all the addresses behind those.
 */
export function networkOf(ipAddress: string): string {
  if (!ipAddress.includes(":")) return ipAddress;
  const [head = "", tail = ""] = ipAddress.toLowerCase().split("::");
  const groups = (part: string) => part.split(":").filter((group) => group !== "");
  const missing = ipAddress.includes("::") ? 8 - groups(head).length - groups(tail).length : 0;
  const all = [...groups(head), ...Array.from({ length: Math.max(0, missing) }, () => "0"), ...groups(tail)];
  return `${all
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":")}::/64`;
}
