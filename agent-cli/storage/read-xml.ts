/** An element of an S3 answer. Attributes and name spaces carry nothing that is needed, so they are left out. */
export type XmlElement = { name: string; text: string; children: XmlElement[] };

/**
 * Reads the plain XML that S3 servers write, and throws on anything else. No document types, so there are no
 * entities but the predefined ones and character numbers. The caller bounds the length.
 */
export function readXml(source: string): XmlElement {
  const top: XmlElement = { name: "", text: "", children: [] };
  const open = [top];
  let at = 0;
  while (at < source.length) {
    const current = open.at(-1) as XmlElement;
    const mark = source.indexOf("<", at);
    current.text += unescapeXml(source.slice(at, mark < 0 ? undefined : mark));
    if (mark < 0) break;
    if (source.startsWith("<![CDATA[", mark)) {
      at = endOf(source, "]]>", mark);
      current.text += source.slice(mark + 9, at - 3);
    } else if (source.startsWith("<!--", mark)) {
      at = endOf(source, "-->", mark);
    } else if (source.startsWith("<?", mark)) {
      at = endOf(source, "?>", mark);
    } else if (source.startsWith("<!", mark)) {
      throw new Error("XML with a document type is not read");
    } else {
      at = endOfTag(source, mark);
      readTag(source.slice(mark + 1, at - 1), open);
    }
  }
  const root = top.children[0];
  if (open.length !== 1 || root === undefined || top.children.length !== 1)
    throw new Error("XML is not complete");
  return root;
}

/** Text of the first child of that name, or an empty string. */
export const childText = (element: XmlElement, name: string): string =>
  element.children.find((child) => child.name === name)?.text.trim() ?? "";

function readTag(tag: string, open: XmlElement[]): void {
  const name = tag.replace(/^\//, "").split(/[\s/]/, 1)[0]?.split(":").at(-1);
  if (!name) throw new Error("XML has a tag without a name");
  if (tag.startsWith("/")) {
    if (open.length === 1 || open.pop()?.name !== name)
      throw new Error(`XML closes <${name}> where it is not open`);
    return;
  }
  const element: XmlElement = { name, text: "", children: [] };
  open.at(-1)?.children.push(element);
  if (!tag.endsWith("/")) open.push(element);
}

function endOf(source: string, mark: string, from: number): number {
  const at = source.indexOf(mark, from);
  if (at < 0) throw new Error("XML is not complete");
  return at + mark.length;
}

/** An attribute's value may hold a ">". */
function endOfTag(source: string, from: number): number {
  let quote = "";
  for (let at = from; at < source.length; at += 1) {
    const char = source.charAt(at);
    if (quote) quote = char === quote ? "" : quote;
    else if (char === '"' || char === "'") quote = char;
    else if (char === ">") return at + 1;
  }
  throw new Error("XML is not complete");
}

const predefined: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

const unescapeXml = (text: string): string =>
  text.replace(/&(?:#x([0-9a-f]{1,6})|#([0-9]{1,7})|([a-z]+));/gi, (whole, hex, decimal, name) => {
    if (name) return predefined[name] ?? whole;
    const code = hex ? Number.parseInt(hex, 16) : Number(decimal);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });

/** Makes text safe between two tags. */
export const escapeXml = (text: string): string =>
  text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
