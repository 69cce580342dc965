import { Presets, SingleBar } from 'cli-progress'

/** Where the demo tells how far it is: a bar on a terminal, lines in a log. */
export interface Screen {
  step(title: string): void
  line(text: string): void
  /** Runs work that reports how much of it is done. */
  progress<T>(
    title: string,
    work: (report: (done: number, total: number, note: string) => void) => Promise<T>,
  ): Promise<T>
}

export function createScreen(output: NodeJS.WriteStream): Screen {
  const line = (text: string): void => void output.write(`${text}\n`)
  return {
    line,
    step: (title) => line(`\n${title}`),
    progress: (title, work) => (output.isTTY ? withBar(title, work, output) : withLines(title, work, line)),
  }
}

type Work<T> = (report: (done: number, total: number, note: string) => void) => Promise<T>

async function withBar<T>(title: string, work: Work<T>, output: NodeJS.WriteStream): Promise<T> {
  const bar = new SingleBar(
    { format: `  ${title} {bar} {value}/{total} {note}`, stream: output, hideCursor: true },
    Presets.shades_classic,
  )
  bar.start(1, 0, { note: '' })
  try {
    return await work((done, total, note) => {
      bar.setTotal(total)
      bar.update(done, { note })
    })
  } finally {
    bar.stop()
  }
}

// In a log a line at every tenth is enough.
async function withLines<T>(title: string, work: Work<T>, line: (text: string) => void): Promise<T> {
  let shown = -1
  return work((done, total, note) => {
    const tenth = total === 0 ? 10 : Math.floor((done / total) * 10)
    if (tenth === shown) return
    shown = tenth
    line(`  ${title} ${done}/${total} ${note}`)
  })
}
