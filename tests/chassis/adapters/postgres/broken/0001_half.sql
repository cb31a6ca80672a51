CREATE TABLE half (id int);
SELECT no_such_column FROM half;
