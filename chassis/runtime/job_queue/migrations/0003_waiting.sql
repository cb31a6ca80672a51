-- What a claim has to know about an earlier claim that ended with its worker: whether the item was being worked on.
ALTER TABLE job_queue
    ADD COLUMN waiting boolean NOT NULL DEFAULT false, -- whether the present claim waits, for its input or for a slot
    ADD COLUMN crashed_waiting integer NOT NULL DEFAULT 0; -- claims whose worker disappeared while the item waited
