/** What a worker keeps beside its queue: ids, times and numbers. No token, no name and nothing of a record. */
export const workerTables = (schema: string): readonly (readonly string[])[] => [
  [
    // One row for each provider, which every process asks before each request.
    `CREATE TABLE ${schema}.providers (
       provider text PRIMARY KEY,
       paused_at timestamptz,
       wait_until timestamptz NOT NULL DEFAULT 'epoch',
       open_until timestamptz NOT NULL DEFAULT 'epoch',
       probe_until timestamptz NOT NULL DEFAULT 'epoch',
       next_at timestamptz NOT NULL DEFAULT 'epoch',
       failures int NOT NULL DEFAULT 0,
       reason text)`,
    `CREATE TABLE ${schema}.schedules (
       connection text PRIMARY KEY,
       provider text NOT NULL,
       every_seconds int NOT NULL,
       priority int NOT NULL,
       due_at timestamptz NOT NULL,
       idle_seconds int NOT NULL,
       refreshed_at timestamptz NOT NULL DEFAULT now(),
       collected_at timestamptz,
       whole_at timestamptz)`,
    `CREATE INDEX schedules_due ON ${schema}.schedules (due_at)`,
    `CREATE TABLE ${schema}.crew (
       worker uuid PRIMARY KEY,
       until timestamptz NOT NULL)`,
    // A connection is in one hand at a time.
    `CREATE TABLE ${schema}.claims (
       connection text PRIMARY KEY,
       job uuid NOT NULL,
       worker uuid NOT NULL)`,
    `CREATE INDEX claims_job ON ${schema}.claims (job)`,
    `CREATE TABLE ${schema}.notices (
       connection text PRIMARY KEY,
       provider text NOT NULL,
       code text NOT NULL,
       at timestamptz NOT NULL DEFAULT now(),
       told_at timestamptz)`,
    `CREATE TABLE ${schema}.hours (
       hour timestamptz NOT NULL,
       provider text NOT NULL,
       outcome text NOT NULL,
       jobs int NOT NULL,
       milliseconds bigint NOT NULL,
       PRIMARY KEY (hour, provider, outcome))`,
  ],
]
