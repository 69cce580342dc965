/** Text for a terminal: what is not printable would be an instruction to it. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '\ufffd')
}

/** Lines of cells, separated by tabs, to standard output. */
export function printRows(rows: readonly (readonly (string | number)[])[]): void {
  for (const cells of rows) process.stdout.write(`${cells.map((cell) => plain(String(cell))).join('\t')}\n`)
}

/** One value as JSON, to standard output. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

/** A line that tells how far it is, where somebody looks at it. */
export interface Progress {
  say(text: string): void
  end(): void
}

export function openProgress(): Progress {
  const { stderr } = process
  let last = 0
  return {
    say(text) {
      const now = Date.now()
      if (!stderr.isTTY || now - last < 100) return
      last = now
      stderr.write(`\r\u001b[K${plain(text)}`)
    },
    end() {
      if (last > 0) stderr.write('\r\u001b[K')
    },
  }
}
