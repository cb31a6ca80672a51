-- What the claim after a lost lease has counted as a crash, by the attempt that lost it: [crashed, crashed_waiting,
-- crashed_alone]. Taken back where its worker turns out to live.
ALTER TABLE job_queue ADD COLUMN counted_crashes jsonb NOT NULL DEFAULT '{}';
