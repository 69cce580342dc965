import { SmartError } from '@s4s/core'

// As long as the inbox takes them.
const longest = 256 * 1024 * 1024

/** The lines of newline-delimited JSON in UTF-8, without their line breaks; empty ones are left out. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let pending: Uint8Array[] = []
  let length = 0
  const take = (): string => {
    const line = Buffer.concat(pending, length).toString('utf8')
    pending = []
    length = 0
    return line.trim()
  }
  for await (const chunk of chunks) {
    let from = 0
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, from)) {
      pending.push(chunk.subarray(from, at))
      length += at - from
      from = at + 1
      const line = take()
      if (line !== '') yield line
    }
    pending.push(chunk.subarray(from))
    length += chunk.length - from
    if (length > longest) throw new SmartError('SHARE_REFUSED', 'a stored line is too long to be read')
  }
  const line = take()
  if (line !== '') yield line
}
