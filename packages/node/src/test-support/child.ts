import { type ChildProcess, spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

/** A TypeScript file of this package that runs in a process of its own. */
export interface Child {
  /** The next line that it prints. */
  line(): Promise<string>
  /** `kill -9`; resolves when it is gone. */
  kill(): Promise<void>
}

const tsx = createRequire(import.meta.url).resolve('tsx')

export function startChild(file: string, ...parameters: string[]): Child {
  const child: ChildProcess = spawn(
    process.execPath,
    ['--conditions=@s4s/source', '--import', tsx, file, ...parameters],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  return {
    async line() {
      const { done, value } = await lines.next()
      if (done) throw new Error('the child ended')
      return value
    },
    async kill() {
      child.kill('SIGKILL')
      await gone
    },
  }
}
