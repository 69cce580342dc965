/** Where a command writes: its results, and what it has to say beside them. */
export interface Output {
  readonly out: NodeJS.WritableStream & { readonly isTTY?: boolean }
  readonly err: NodeJS.WritableStream & { readonly isTTY?: boolean }
}

/** Text for a terminal: what is not printable would be an instruction to it. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '\ufffd')
}

/** Lines of cells, separated by tabs. */
export function printRows({ out }: Output, rows: readonly (readonly (string | number)[])[]): void {
  for (const cells of rows) out.write(`${cells.map((cell) => plain(String(cell))).join('\t')}\n`)
}

/** One value as JSON. */
export function printJson({ out }: Output, value: unknown): void {
  out.write(`${JSON.stringify(value)}\n`)
}

/** A line that tells how far it is, where somebody looks at it. */
export interface Progress {
  say(text: string): void
  end(): void
}

export function openProgress({ err }: Output): Progress {
  let last = 0
  return {
    say(text) {
      const now = Date.now()
      if (!err.isTTY || now - last < 100) return
      last = now
      err.write(`\r\u001b[K${plain(text)}`)
    },
    end() {
      if (last > 0) err.write('\r\u001b[K')
    },
  }
}

/** How far it is as a bar of `#`, with the numbers. */
export function progressBar(done: number, total: number): string {
  const width = 24
  const full = total > 0 ? Math.min(width, Math.floor((done / total) * width)) : 0
  return `[${'#'.repeat(full)}${'-'.repeat(width - full)}] ${done}/${total}`
}
