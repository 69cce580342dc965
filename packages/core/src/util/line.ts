/** JSON without its line breaks: outside a string they are white space, and inside one JSON does not allow them. */
export function onOneLine(text: string): string {
  return text.includes('\n') || text.includes('\r') ? text.replace(/[\r\n]+[ \t]*/g, '') : text
}
