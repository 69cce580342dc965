import { type ChildProcess, spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

/** A TypeScript file of this package that runs in a process of its own. */
export interface Child {
  /** The next line that it prints. */
  line(): Promise<string>
  say(line: string): void
  /** `kill -9`; resolves when it is gone. */
  kill(): Promise<void>
  /** When it has ended, by which signal. */
  readonly gone: Promise<NodeJS.Signals | null>
}

const tsx = createRequire(import.meta.url).resolve('tsx')

export function startChild(file: string, ...parameters: string[]): Child {
  const child: ChildProcess = spawn(
    process.execPath,
    ['--conditions=@s4s/source', '--import', tsx, file, ...parameters],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
  // Whoever was killed hears nothing more.
  child.stdin?.on('error', () => {})
  const gone = new Promise<NodeJS.Signals | null>((resolve) =>
    child.once('exit', (_, signal) => resolve(signal)),
  )
  return {
    async line() {
      const { done, value } = await lines.next()
      if (done) throw new Error('the child ended')
      return value
    },
    say: (line) => void child.stdin?.write(`${line}\n`),
    gone,
    async kill() {
      child.kill('SIGKILL')
      await gone
    },
  }
}
