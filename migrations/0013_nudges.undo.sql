DROP TABLE sms_opt_outs;
DROP TABLE nudges;
