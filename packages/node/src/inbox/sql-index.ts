import { checkedSchema, migrate, type Sql } from '../store/sql.js'
import type { Mark } from './duplicates.js'
import type { Entry, PackageRow, PackageState, WithdrawalRow } from './rows.js'

/** The lists of an inbox as tables. They hold what the lists show: no file of a package, and no name behind a pseudonym. */
export interface SqlIndex {
  migrate(): Promise<void>
  states(study: string): Promise<Map<string, PackageState>>
  /** Says of a package what the folder says; marks of one that was deleted go. */
  put(study: string, entry: Entry): Promise<void>
  remove(study: string, digest: string): Promise<void>
  /** Forgets a study, and notes by what its participants are named from now on. */
  clear(study: string, naming: string): Promise<void>
  /** By what the participants of a study are named in here. */
  naming(study: string): Promise<string | undefined>
  packages(study: string): Promise<PackageRow[]>
  withdrawals(study: string): Promise<WithdrawalRow[]>
  /** Packages that are held and have no marks yet. */
  unmarked(study: string): Promise<Pick<PackageRow, 'digest' | 'participant' | 'receivedAt'>[]>
  mark(study: string, digest: string, marks: readonly Mark[]): Promise<void>
  /** The marks that several providers share, the oldest package first. */
  alike(study: string): Promise<Mark[]>
}

const steps = (schema: string): readonly (readonly string[])[] => [
  [
    `CREATE TABLE ${schema}.studies (study text PRIMARY KEY, naming text NOT NULL)`,
    `CREATE TABLE ${schema}.packages (
       study text NOT NULL,
       digest text COLLATE "C" NOT NULL,
       participant text NOT NULL,
       received_at text COLLATE "C" NOT NULL,
       resources bigint NOT NULL,
       bytes bigint NOT NULL,
       state text NOT NULL CHECK (state IN ('stored', 'stopped', 'deleted')),
       consent text,
       withdrawn_at text COLLATE "C",
       removed_parts bigint NOT NULL DEFAULT 0,
       removed_bytes bigint NOT NULL DEFAULT 0,
       completeness jsonb NOT NULL,
       marked boolean NOT NULL DEFAULT false,
       PRIMARY KEY (study, digest))`,
    `CREATE INDEX packages_received ON ${schema}.packages (study, received_at DESC, digest)`,
    `CREATE TABLE ${schema}.marks (
       study text NOT NULL,
       digest text NOT NULL,
       participant text NOT NULL,
       iss text NOT NULL,
       provider text NOT NULL,
       reference text NOT NULL,
       type text NOT NULL,
       by_what text NOT NULL,
       mark text NOT NULL)`,
    `CREATE INDEX marks_alike ON ${schema}.marks (study, participant, mark)`,
    `CREATE INDEX marks_package ON ${schema}.marks (study, digest)`,
  ],
]

// In milliseconds.
const shortly = 5000

export function openSqlIndex(sql: Sql, schemaName: string): SqlIndex {
  const schema = checkedSchema(schemaName)
  const [packages, marks] = [`${schema}.packages`, `${schema}.marks`]
  let prepared: Promise<void> | undefined
  const ready = (): Promise<void> => {
    prepared ??= migrate(sql, schema, steps(schema)).catch((error: unknown) => {
      prepared = undefined
      throw error
    })
    return prepared
  }
  // A database that hangs must hold nobody up whose package is on the disk.
  const query = async (
    text: string,
    parameters: unknown[],
    patience = shortly,
  ): Promise<Record<string, unknown>[]> => {
    await within(shortly, ready())
    return (await within(patience, sql.query(text, parameters))).rows
  }

  return Object.freeze({
    migrate: () => within(shortly, ready()),

    async states(study: string): Promise<Map<string, PackageState>> {
      const rows = await query(`SELECT digest, state FROM ${packages} WHERE study = $1`, [study])
      return new Map(rows.map(({ digest, state }) => [String(digest), state as PackageState]))
    },

    // One statement, so that an embedded database, which has one session, needs no transaction.
    async put(study: string, { row, withdrawal }: Entry): Promise<void> {
      const { digest, participant, receivedAt, resources, bytes, completeness } = row
      await query(
        `WITH gone AS (DELETE FROM ${marks} WHERE study = $1 AND digest = $2 AND $7 = 'deleted')
         INSERT INTO ${packages} (study, digest, participant, received_at, resources, bytes, state,
           consent, withdrawn_at, removed_parts, removed_bytes, completeness)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::jsonb)
         ON CONFLICT (study, digest) DO UPDATE SET
           participant = excluded.participant, received_at = excluded.received_at,
           resources = excluded.resources, bytes = excluded.bytes, state = excluded.state,
           consent = excluded.consent, withdrawn_at = excluded.withdrawn_at,
           removed_parts = excluded.removed_parts, removed_bytes = excluded.removed_bytes,
           completeness = excluded.completeness`,
        [
          ...[study, digest, storable(participant), receivedAt, resources, bytes, stateOf(row)],
          ...[withdrawal ? storable(withdrawal.consent) : null, row.withdrawnAt ?? null],
          ...[withdrawal?.removed.parts ?? 0, withdrawal?.removed.bytes ?? 0],
          asJson(completeness),
        ],
      )
    },

    async remove(study: string, digest: string): Promise<void> {
      await query(
        `WITH gone AS (DELETE FROM ${marks} WHERE study = $1 AND digest = $2)
         DELETE FROM ${packages} WHERE study = $1 AND digest = $2`,
        [study, digest],
      )
    },

    async clear(study: string, naming: string): Promise<void> {
      await query(
        `WITH gone AS (DELETE FROM ${marks} WHERE study = $1),
           rows AS (DELETE FROM ${packages} WHERE study = $1)
         INSERT INTO ${schema}.studies (study, naming) VALUES ($1, $2)
         ON CONFLICT (study) DO UPDATE SET naming = excluded.naming`,
        [study, naming],
      )
    },

    async naming(study: string): Promise<string | undefined> {
      const [row] = await query(`SELECT naming FROM ${schema}.studies WHERE study = $1`, [study])
      return row && String(row.naming)
    },

    async packages(study: string): Promise<PackageRow[]> {
      const rows = await query(
        `SELECT digest, participant, received_at, resources, bytes, state, withdrawn_at, completeness
         FROM ${packages} WHERE study = $1 ORDER BY received_at DESC, digest`,
        [study],
      )
      return rows.map(packageIn)
    },

    async withdrawals(study: string): Promise<WithdrawalRow[]> {
      const rows = await query(
        `SELECT digest, participant, consent, withdrawn_at, state, removed_parts, removed_bytes
         FROM ${packages} WHERE study = $1 AND state <> 'stored'
         ORDER BY withdrawn_at DESC, digest`,
        [study],
      )
      return rows.map(withdrawalIn)
    },

    async unmarked(study: string): Promise<Pick<PackageRow, 'digest' | 'participant' | 'receivedAt'>[]> {
      const rows = await query(
        `SELECT digest, participant, received_at FROM ${packages}
         WHERE study = $1 AND state <> 'deleted' AND NOT marked ORDER BY received_at, digest`,
        [study],
      )
      return rows.map(({ digest, participant, received_at }) => ({
        ...{ digest: String(digest), participant: String(participant), receivedAt: String(received_at) },
      }))
    },

    async mark(study: string, digest: string, found: readonly Mark[]): Promise<void> {
      // In pieces: one package may have hundreds of thousands.
      await query(`DELETE FROM ${marks} WHERE study = $1 AND digest = $2`, [study, digest])
      for (let from = 0; from < found.length; from += 5000) {
        await query(
          `INSERT INTO ${marks} (study, digest, participant, iss, provider, reference, type, by_what, mark)
           SELECT $1, $2, participant, iss, provider, reference, type, "by", mark
           FROM jsonb_to_recordset($3::jsonb)
             AS m (participant text, iss text, provider text, reference text, type text, "by" text, mark text)`,
          [study, digest, asJson(found.slice(from, from + 5000))],
        )
      }
      await query(`UPDATE ${packages} SET marked = true WHERE study = $1 AND digest = $2`, [study, digest])
    },

    async alike(study: string): Promise<Mark[]> {
      const rows = await query(
        `SELECT m.digest, m.participant, m.iss, m.provider, m.reference, m.type, m.by_what AS "by", m.mark
         FROM ${marks} m
         JOIN (SELECT participant, mark FROM ${marks} WHERE study = $1
               GROUP BY participant, mark HAVING count(DISTINCT iss) > 1) shared
           ON m.participant = shared.participant AND m.mark = shared.mark
         JOIN ${packages} p ON p.study = m.study AND p.digest = m.digest
         WHERE m.study = $1 ORDER BY p.received_at, m.digest, m.reference, m.mark`,
        [study],
        120_000,
      )
      return rows as unknown as Mark[]
    },
  } satisfies SqlIndex)
}

/** How far a package has come, by its row. */
export const stateOf = ({ status, deleted }: PackageRow): PackageState =>
  status === 'stored' ? 'stored' : deleted ? 'deleted' : 'stopped'

function packageIn(row: Record<string, unknown>): PackageRow {
  const withdrawn = row.state !== 'stored'
  return {
    digest: String(row.digest),
    participant: String(row.participant),
    receivedAt: String(row.received_at),
    resources: Number(row.resources),
    bytes: Number(row.bytes),
    status: withdrawn ? 'withdrawn' : 'stored',
    ...(withdrawn ? { withdrawnAt: String(row.withdrawn_at), deleted: row.state === 'deleted' } : {}),
    completeness: row.completeness as PackageRow['completeness'],
  }
}

function withdrawalIn(row: Record<string, unknown>): WithdrawalRow {
  const removed = Object.freeze({ parts: Number(row.removed_parts), bytes: Number(row.removed_bytes) })
  return Object.freeze({
    digest: String(row.digest),
    participant: String(row.participant),
    consent: String(row.consent),
    at: String(row.withdrawn_at),
    deleted: row.state === 'deleted',
    removed,
  })
}

// What a sender wrote may hold what no text in Postgres may: NUL, and halves of a character.
const storable = (text: string): string => text.replace(/\0|\p{Surrogate}/gu, '\ufffd')
const asJson = (value: unknown): string =>
  JSON.stringify(value, (_, one: unknown) => (typeof one === 'string' ? storable(one) : one))

async function within<T>(time: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the database does not answer')), time)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
